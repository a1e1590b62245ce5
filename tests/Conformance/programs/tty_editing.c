// The line discipline: editing, echo, signals' characters, flow control, output processing. All it shows is compared with Linux.
#include "tty.h"

static char text[9000];

static void case_(const char *what, tcflag_t input, tcflag_t local, const char *bytes, int n)
{
    set_modes(input, USUAL_OUTPUT, local);
    type(bytes, n);
    show(what);
    CHECK_EQ(tcflush(slave, TCIOFLUSH), 0);
}

#define CASE(what, input, local, bytes) case_(what, input, local, bytes, sizeof bytes - 1)

int main(void)
{
    open_pty();
    CASE("line", USUAL_INPUT, USUAL_LOCAL, "hello\r");
    CASE("two lines", USUAL_INPUT, USUAL_LOCAL, "one\ntwo\n");
    CASE("no line yet", USUAL_INPUT, USUAL_LOCAL, "abc");
    CASE("erase", USUAL_INPUT, USUAL_LOCAL, "abc\x7f\x7f" "d\n");
    CASE("erase all", USUAL_INPUT, USUAL_LOCAL, "ab\x7f\x7f\x7f" "c\n");
    CASE("erase control", USUAL_INPUT, USUAL_LOCAL, "a\x01\x02\x7f\x7f" "b\n");
    CASE("erase control silently", USUAL_INPUT, USUAL_LOCAL & ~(tcflag_t)ECHOCTL, "a\x01\x7f" "b\n");
    CASE("erase tab", USUAL_INPUT, USUAL_LOCAL, "ab\tc\td\x7f\x7f\x7f\x7f\n");
    CASE("erase tab after control", USUAL_INPUT, USUAL_LOCAL, "a\x01\t\x7f\n");
    CASE("word erase", USUAL_INPUT, USUAL_LOCAL, "one two_3  \x17" "x\n");
    CASE("word erase over punctuation", USUAL_INPUT, USUAL_LOCAL, "one, /two/\x17\x17\x17\n");
    CASE("kill", USUAL_INPUT, USUAL_LOCAL, "one two\x15" "x\n");
    CASE("kill without ECHOKE", USUAL_INPUT, USUAL_LOCAL & ~(tcflag_t)ECHOKE, "one two\x15" "x\n");
    CASE("kill without ECHOK", USUAL_INPUT, USUAL_LOCAL & ~(tcflag_t)(ECHOKE | ECHOK), "one two\x15" "x\n");
    CASE("kill silently", USUAL_INPUT, USUAL_LOCAL & ~(tcflag_t)ECHO, "one two\x15" "x\n");
    CASE("erase without ECHOE", USUAL_INPUT, USUAL_LOCAL & ~(tcflag_t)ECHOE, "abc\x7f\x7f" "d\n");
    CASE("erase printing", USUAL_INPUT, USUAL_LOCAL | ECHOPRT, "abc\x7f\x7f" "d\x17z\n");
    CASE("literal next", USUAL_INPUT, USUAL_LOCAL, "a\x16\x03" "b\x16\x7f" "c\x16\n\n");
    CASE("reprint", USUAL_INPUT, USUAL_LOCAL, "abc\x01\x12" "d\n");
    CASE("end of file", USUAL_INPUT, USUAL_LOCAL, "abc\x04\x04" "d\n");
    CASE("end of file first", USUAL_INPUT, USUAL_LOCAL, "\x04");
    CASE("no echo", USUAL_INPUT, USUAL_LOCAL & ~(tcflag_t)ECHO, "secret\n");
    CASE("no echo but newlines", USUAL_INPUT, (USUAL_LOCAL & ~(tcflag_t)ECHO) | ECHONL, "secret\n");
    CASE("not extended", USUAL_INPUT, USUAL_LOCAL & ~(tcflag_t)IEXTEN, "one two\x17\x16\x12\n");
    CASE("interrupt flushes", USUAL_INPUT, USUAL_LOCAL, "one\ntwo\x03three\n");
    CASE("interrupt without flush", USUAL_INPUT, USUAL_LOCAL | NOFLSH, "one\ntwo\x03three\n");
    CASE("quit and suspend", USUAL_INPUT, USUAL_LOCAL, "a\x1c" "b\x1a" "c\n");
    CASE("no signals", USUAL_INPUT, USUAL_LOCAL & ~(tcflag_t)ISIG, "a\x03\x1c\x1a" "b\n");
    CASE("newline from input", IXON, USUAL_LOCAL, "a\rb\n");
    CASE("carriage returns ignored", IXON | IGNCR | ICRNL, USUAL_LOCAL, "a\rb\n");
    CASE("newlines to returns", IXON | INLCR, USUAL_LOCAL, "a\nb\x04");
    CASE("strip", USUAL_INPUT | ISTRIP, USUAL_LOCAL, "\xc1\xe2\x8a");
    CASE("lower case", USUAL_INPUT | IUCLC, USUAL_LOCAL, "ABC\n");
    CASE("parity marks", USUAL_INPUT | PARMRK, USUAL_LOCAL, "a\xff" "b\n");
    CASE("utf-8", USUAL_INPUT | IUTF8, USUAL_LOCAL, "a\xc3\xa4\xe2\x82\xac\x7f\x7f" "b\n");
    CASE("utf-8 unknown", USUAL_INPUT, USUAL_LOCAL, "a\xc3\xa4\x7f" "b\n");
    CASE("utf-8 word", USUAL_INPUT | IUTF8, USUAL_LOCAL, "x \xc3\xa4\xc3\xb6\x17y\n");
    CASE("raw", 0, 0, "a\r\n\x03\x7f\x04\x11\x13");
    CASE("raw with echo", 0, ECHO | ECHOCTL, "a\r\n\x03\x7f\t");
    CASE("cbreak", USUAL_INPUT, ISIG | ECHO | ECHOCTL, "a\r\x7f\x04");
    CASE("extproc", USUAL_INPUT, USUAL_LOCAL | EXTPROC, "a\x03\r\x7f");

    // Lines longer than the buffer: what is lost, and that the end of the line still comes.
    set_modes(USUAL_INPUT, USUAL_OUTPUT, USUAL_LOCAL & ~(tcflag_t)ECHO);
    memset(text, 'x', 5000);
    text[5000] = '\n';
    type(text, 5001);
    char line[8192];
    CHECK(readable(slave, 1000));
    int n = (int)read(slave, line, sizeof line);
    printf("long line %d ends %02x\n", n, line[n - 1]);
    TYPE("next\n");
    show("after a long line");

    // A line read in pieces, and an end of file behind what just fits.
    TYPE("abcdef\n");
    CHECK(readable(slave, 1000));
    CHECK_EQ(read(slave, line, 3), 3);
    maybe_save();
    int left;
    CHECK_EQ(ioctl(slave, FIONREAD, &left), 0);
    CHECK_EQ(left, 4);
    CHECK_EQ(read(slave, line, 100), 4);
    TYPE("abc\x04" "def\n");
    CHECK(readable(slave, 1000));
    sleep_ms(20);
    CHECK_EQ(read(slave, line, 3), 3);
    CHECK_EQ(read(slave, line, 100), 4);
    ok("pieces");

    // What was typed survives a change of mode and a save in the middle of a line.
    set_modes(USUAL_INPUT, USUAL_OUTPUT, USUAL_LOCAL);
    TYPE("half a li\x16");
    n = drain(master, line, sizeof line);
    put_bytes("shown", line, n);
    maybe_save();
    TYPE("\x03ne\n");
    show("after saving");
    TYPE("typed");
    drain(master, line, sizeof line);
    set_modes(USUAL_INPUT, USUAL_OUTPUT, USUAL_LOCAL & ~(tcflag_t)ICANON);
    show("canonical to raw");
    TYPE("more");
    drain(master, line, sizeof line);
    set_modes(USUAL_INPUT, USUAL_OUTPUT, USUAL_LOCAL);
    show("raw to canonical");

    // Output.
    static const struct { const char *what; tcflag_t flags; } outputs[] = {
        {"none", 0}, {"onlcr", OPOST | ONLCR}, {"ocrnl", OPOST | OCRNL}, {"onocr", OPOST | ONOCR}, {"onlret", OPOST | ONLRET},
        {"olcuc", OPOST | OLCUC}, {"tabs", OPOST | XTABS | ONLCR}, {"all", OPOST | XTABS | ONLCR | OCRNL | ONOCR | ONLRET | OLCUC},
    };
    for (unsigned i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        set_modes(USUAL_INPUT, outputs[i].flags, USUAL_LOCAL);
        static const char sample[] = "\rab\tc\b\b\td\r\re\n\tf\n\n\x01\x7f\xc3\xa4\tg\n";
        CHECK_EQ(write(slave, sample, sizeof sample - 1), sizeof sample - 1);
        n = drain(master, line, sizeof line);
        put_bytes(outputs[i].what, line, n);
    }

    // Flow control.
    set_modes(USUAL_INPUT, USUAL_OUTPUT, USUAL_LOCAL);
    TYPE("\x13");
    sleep_ms(20);
    CHECK_EQ(fcntl(slave, F_SETFL, O_NONBLOCK), 0);
    CHECK_ERRNO(write(slave, "held", 4), EAGAIN);
    TYPE("echo held too");
    CHECK(!readable(master, 40));
    maybe_save();
    CHECK(!readable(master, 40));
    TYPE("\x11");
    show("flow");
    CHECK_EQ(write(slave, "sent", 4), 4);
    show("flow again");
    TYPE("\n");
    show("flow line");
    CHECK_EQ(tcflow(slave, TCOOFF), 0);
    CHECK_ERRNO(write(slave, "held", 4), EAGAIN);
    TYPE("\x11");
    sleep_ms(20);
    CHECK_ERRNO(write(slave, "held", 4), EAGAIN);
    CHECK_EQ(tcflow(slave, TCOON), 0);
    CHECK_EQ(write(slave, "sent", 4), 4);
    CHECK_EQ(tcflow(slave, TCIOFF), 0);
    CHECK_EQ(tcflow(slave, TCION), 0);
    show("tcflow");
    set_modes(USUAL_INPUT | IXANY, USUAL_OUTPUT, USUAL_LOCAL);
    TYPE("\x13");
    TYPE("x");
    show("ixany");
    TYPE("\n");
    drain(master, line, sizeof line);
    CHECK_EQ(read(slave, line, sizeof line), 2);

    // How much fits, and that nothing is lost when it is read late.
    set_modes(0, 0, 0);
    memset(text, 'y', sizeof text);
    int total = 0;
    while ((n = (int)write(slave, text, 1000)) > 0)
        total += n;
    CHECK_EQ(errno, EAGAIN);
    printf("output holds more than 8 KiB: %d\n", total > 8192);
    maybe_save();
    int got = 0;
    while ((n = drain(master, line, sizeof line)) > 0)
        got += n;
    CHECK_EQ(got, total);
    CHECK_EQ(fcntl(master, F_SETFL, O_NONBLOCK), 0);
    total = 0;
    while ((n = (int)write(master, text, 1000)) > 0)
        total += n;
    CHECK_EQ(errno, EAGAIN);
    printf("input holds more than 4 KiB: %d\n", total > 4096);
    maybe_save();
    got = 0;
    while ((n = drain(slave, line, sizeof line)) > 0)
        got += n;
    CHECK_EQ(got, total);
    ok("amounts");
    close_pty();
    return 0;
}
