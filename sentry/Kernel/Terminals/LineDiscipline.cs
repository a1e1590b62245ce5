namespace Sentry.Kernel.Terminals;

/// <summary>What a terminal does with the bytes that come in: signals, flow control, editing of lines, echo (termios(3); N_TTY of Linux).</summary>
[Savable("line-discipline")]
internal sealed partial class LineDiscipline
{
    [Saved(1)] private Terminal _terminal;
    [Saved(2)] private bool _literalNext;
    [Saved(3)] private bool _erasing;

    internal LineDiscipline(Terminal terminal) => _terminal = terminal;

    private Termios Termios => _terminal.Termios;

    private TerminalInput Input => _terminal.Input;

    private TerminalOutput Output => _terminal.Output;

    private bool Echoes => Termios.HasLocal(Tio.ECHO);

    /// <summary>Takes bytes from the other end while there is room for them; the number taken.</summary>
    internal int Receive(ReadOnlySpan<byte> bytes)
    {
        int taken = 0;
        while (taken < bytes.Length && MakeRoom())
        {
            Receive(bytes[taken++]);
            Output.MoveLongEcho();
        }

        Output.MoveEcho();
        return taken;
    }

    /// <summary>How many bytes could be taken now.</summary>
    internal int Room
    {
        get
        {
            int room = TerminalInput.Capacity - Input.Count;
            if (Termios.HasInput(Tio.PARMRK))
                room = (room + 2) / 3;
            room--;
            return room > 0 ? room : Termios.IsCanonical && !Input.HasLine ? 1 : 0;
        }
    }

    /// <summary>Settings have changed between canonical and other modes.</summary>
    internal void Reset() => _erasing = _literalNext = false;

    // A line without an end that fills the buffer must not lock it up: its last byte is replaced by what comes (n_tty_receive_buf_common).
    private bool MakeRoom()
    {
        if (Room == 0)
            return false;
        if (Input.Count >= TerminalInput.Capacity)
            Input.DropLast();
        return true;
    }

    private void Receive(byte c)
    {
        Termios termios = Termios;
        if (termios.HasInput(Tio.ISTRIP))
            c &= 0x7f;
        if (termios.HasInput(Tio.IUCLC) && termios.HasLocal(Tio.IEXTEN) && TerminalOutput.IsUpper(c))
            c += 0x20;
        if (termios.HasLocal(Tio.EXTPROC))
        {
            Add(c);
        }
        else if (_literalNext)
        {
            _literalNext = false;
            TakeAny();
            AddEchoed(c);
        }
        else if (!TakeFlow(c) && !TakeSignal(c))
        {
            TakeAny();
            TakeText(c);
        }
    }

    /// <summary>VSTOP and VSTART.</summary>
    private bool TakeFlow(byte c)
    {
        if (!Termios.HasInput(Tio.IXON))
            return false;
        if (Termios.Is(c, Tio.VSTART))
        {
            _terminal.StartOutput();
            Output.MoveEcho();
        }
        else if (Termios.Is(c, Tio.VSTOP))
        {
            _terminal.StopOutput();
        }
        else
        {
            return false;
        }

        return true;
    }

    /// <summary>IXANY: anything typed lets stopped output go on.</summary>
    private void TakeAny()
    {
        if (!Output.IsStopped || !Termios.HasInput(Tio.IXON) || !Termios.HasInput(Tio.IXANY))
            return;
        _terminal.StartOutput();
        Output.MoveEcho();
    }

    private bool TakeSignal(byte c)
    {
        if (!Termios.HasLocal(Tio.ISIG))
            return false;
        int signal = Termios.Is(c, Tio.VINTR) ? Signal.SIGINT : Termios.Is(c, Tio.VQUIT) ? Signal.SIGQUIT : Termios.Is(c, Tio.VSUSP) ? Signal.SIGTSTP : 0;
        if (signal == 0)
            return false;
        _terminal.SignalForeground(signal);
        if (!Termios.HasLocal(Tio.NOFLSH))
        {
            _terminal.FlushOutput();
            _terminal.FlushInput();
        }

        if (Termios.HasInput(Tio.IXON))
            _terminal.StartOutput();
        if (Echoes)
            Output.Echo(c, Termios);
        return true;
    }

    private void TakeText(byte c)
    {
        Termios termios = Termios;
        bool converted = false;
        if (c == '\r')
        {
            if (termios.HasInput(Tio.IGNCR))
                return;
            converted = termios.HasInput(Tio.ICRNL);
            c = converted ? (byte)'\n' : c;
        }
        else if (c == '\n' && termios.HasInput(Tio.INLCR))
        {
            c = (byte)'\r';
        }

        if (!termios.IsCanonical || !TakeEditing(c))
            AddEchoed(c, rawNewline: converted);
    }

    /// <summary>What edits or ends a line in canonical mode.</summary>
    private bool TakeEditing(byte c)
    {
        Termios termios = Termios;
        bool extended = termios.HasLocal(Tio.IEXTEN);
        if (termios.Is(c, Tio.VERASE) || termios.Is(c, Tio.VKILL) || (extended && termios.Is(c, Tio.VWERASE)))
        {
            Erase(c);
        }
        else if (extended && termios.Is(c, Tio.VLNEXT))
        {
            _literalNext = true;
            if (!Echoes)
                return true;
            FinishErasing();
            if (termios.HasLocal(Tio.ECHOCTL))
            {
                Output.EchoRaw((byte)'^', termios);
                Output.EchoRaw((byte)'\b', termios);
            }
        }
        else if (extended && Echoes && termios.Is(c, Tio.VREPRINT))
        {
            FinishErasing();
            Output.Echo(c, termios);
            Output.EchoRaw((byte)'\n', termios);
            for (int i = 0; i < Input.Pending; i++)
                Output.Echo(Input[i], termios);
        }
        else if (c == '\n')
        {
            if (Echoes || termios.HasLocal(Tio.ECHONL))
                Output.EchoRaw(c, termios);
            EndLine(c);
        }
        else if (termios.Is(c, Tio.VEOF))
        {
            Input.AddEndOfFile();
            _terminal.WakeReaders();
        }
        else if (termios.Is(c, Tio.VEOL) || (extended && termios.Is(c, Tio.VEOL2)))
        {
            EchoTyped(c);
            if (c == 0xff && termios.HasInput(Tio.PARMRK))
                Input.Add(c);
            EndLine(c);
        }
        else
        {
            return false;
        }

        return true;
    }

    private void EndLine(byte c)
    {
        Input.AddLineEnd(c);
        _terminal.WakeReaders();
    }

    /// <param name="rawNewline">It was a carriage return: shown as a new line. Others that end no line are shown as ^J with ECHOCTL.</param>
    private void AddEchoed(byte c, bool rawNewline = false)
    {
        EchoTyped(c, rawNewline);
        if (c == 0xff && Termios.HasInput(Tio.PARMRK))
            Add(c);
        Add(c);
    }

    private void Add(byte c)
    {
        Input.Add(c);
        if (!Termios.IsCanonical || Termios.HasLocal(Tio.EXTPROC))
            _terminal.WakeReaders();
    }

    private void EchoTyped(byte c, bool rawNewline = false)
    {
        if (!Echoes)
            return;
        FinishErasing();
        if (c == '\n' && rawNewline)
        {
            Output.EchoRaw(c, Termios);
            return;
        }

        if (Input.Pending == 0)
            Output.MarkLine();
        Output.Echo(c, Termios);
    }

    // ---- erasing -------------------------------------------------------------------------------------------------

    private void Erase(byte c)
    {
        Termios termios = Termios;
        if (Input.Pending == 0)
            return;
        bool kill = !termios.Is(c, Tio.VERASE) && !(termios.HasLocal(Tio.IEXTEN) && termios.Is(c, Tio.VWERASE)), word = !kill && !termios.Is(c, Tio.VERASE);
        if (kill && !Echoes)
        {
            Input.Erase(Input.Pending);
            return;
        }

        const uint Visibly = Tio.ECHOK | Tio.ECHOKE | Tio.ECHOE;
        if (kill && (termios.Local & Visibly) != Visibly)
        {
            Input.Erase(Input.Pending);
            FinishErasing();
            Output.Echo(termios[Tio.VKILL], termios);
            if (termios.HasLocal(Tio.ECHOK))
                Output.EchoRaw((byte)'\n', termios);
            return;
        }

        bool inWord = false;
        while (Input.Pending > 0)
        {
            int length = LastCharacter();
            byte first = Input[Input.Pending - length];
            if (TerminalOutput.IsContinuation(first, termios))
                break;
            if (word)
            {
                if (IsWordCharacter(first))
                    inWord = true;
                else if (inWord)
                    break;
            }

            EraseCharacter(length, kill || word || termios.HasLocal(Tio.ECHOE));
            if (!kill && !word)
                break;
        }

        if (Input.Pending == 0 && Echoes)
            FinishErasing();
    }

    /// <summary>Bytes of the last character typed.</summary>
    private int LastCharacter()
    {
        int length = 1;
        while (length < Input.Pending && TerminalOutput.IsContinuation(Input[Input.Pending - length], Termios))
            length++;
        return length;
    }

    private void EraseCharacter(int length, bool visibly)
    {
        Termios termios = Termios;
        Span<byte> character = stackalloc byte[length];
        for (int i = 0; i < length; i++)
            character[i] = Input[Input.Pending - length + i];
        Input.Erase(length);
        if (!Echoes)
            return;
        byte c = character[0];
        if (termios.HasLocal(Tio.ECHOPRT))
        {
            if (!_erasing)
                Output.EchoRaw((byte)'\\', termios);
            _erasing = true;
            Output.Echo(c, termios);
            foreach (byte rest in character[1..])
            {
                Output.EchoRaw(rest, termios);
                Output.MoveBack();
            }
        }
        else if (!visibly)
        {
            Output.Echo(termios[Tio.VERASE], termios);
        }
        else if (c == '\t')
        {
            EraseTab();
        }
        else
        {
            bool control = TerminalOutput.IsControl(c), shown = termios.HasLocal(Tio.ECHOCTL);
            for (int columns = !control ? 1 : shown ? 2 : 0; columns > 0; columns--)
            {
                foreach (byte part in "\b \b"u8)
                    Output.EchoRaw(part, termios);
            }
        }
    }

    private void EraseTab()
    {
        int columns = 0;
        bool afterTab = false;
        for (int i = Input.Pending - 1; i >= 0 && !afterTab; i--)
        {
            byte c = Input[i];
            if (c == '\t')
                afterTab = true;
            else if (TerminalOutput.IsControl(c))
                columns += Termios.HasLocal(Tio.ECHOCTL) ? 2 : 0;
            else if (!TerminalOutput.IsContinuation(c, Termios))
                columns++;
        }

        Output.EchoTabErased(columns, afterTab);
    }

    private void FinishErasing()
    {
        if (!_erasing)
            return;
        Output.EchoRaw((byte)'/', Termios);
        _erasing = false;
    }

    private static bool IsWordCharacter(byte c) => char.IsAsciiLetterOrDigit((char)c) || c == (byte)'_' || (c >= 0xc0 && c is not (0xd7 or 0xf7));
}
