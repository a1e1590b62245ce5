// Random settings and random typing, many times: what is shown and read is the same as on Linux, byte for byte.
#include "tty.h"

static uint32_t state = 12345;

static uint32_t next(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

// Input is taken at once by a kernel that has it; on Linux a worker does it, so wait until the last byte's effect is there.
static int collect(int fd, char *buffer, int size)
{
    int total = 0;
    while (readable(fd, 25)) {
        int n = (int)read(fd, buffer + total, (size_t)(size - total));
        if (n <= 0) {
            buffer[total++] = '!';
            continue;
        }
        total += n;
    }
    return total;
}

int main(void)
{
    static const char special[] = "\x03\x04\x08\t\n\r\x11\x13\x12\x15\x16\x17\x1a\x1c\x7f\x01\xff\xc3\xa4\xe2\x82\xac aA_-";
    static const tcflag_t input[] = {ICRNL, INLCR, IGNCR, ISTRIP, IUCLC, IXON, IXANY, PARMRK, IUTF8},
                          output[] = {OPOST, ONLCR, OCRNL, ONOCR, ONLRET, OLCUC, XTABS},
                          local[] = {ISIG, ICANON, ECHO, ECHOE, ECHOK, ECHONL, NOFLSH, ECHOCTL, ECHOPRT, ECHOKE, IEXTEN};
    char typed[64], shown[4096], got[4096];
    for (int round = 0; round < 100; round++) {
        open_pty();
        tcflag_t i = 0, o = 0, l = 0;
        for (unsigned k = 0; k < sizeof input / sizeof *input; k++)
            i |= next() % 3 == 0 ? input[k] : 0;
        for (unsigned k = 0; k < sizeof output / sizeof *output; k++)
            o |= next() % 2 ? output[k] : 0;
        for (unsigned k = 0; k < sizeof local / sizeof *local; k++)
            l |= next() % 3 ? local[k] : 0;
        set_modes(i, o, l);
        int n = 1 + (int)(next() % 40);
        for (int k = 0; k < n; k++)
            typed[k] = next() % 3 ? special[next() % (sizeof special - 1)] : (char)('a' + next() % 26);
        type(typed, n);
        if (next() % 2) {
            struct termios t;
            sleep_ms(25);
            CHECK_EQ(tcgetattr(slave, &t), 0);
            t.c_lflag ^= ICANON;
            CHECK_EQ(tcsetattr(slave, TCSANOW, &t), 0);
        }
        int a = collect(master, shown, sizeof shown), b = collect(slave, got, sizeof got);
        printf("%d %x %x %x\n", round, i, o, l);
        put_bytes("  typed", typed, n);
        put_bytes("  shown", shown, a);
        put_bytes("  read", got, b);
        if (round % 40 == 7)
            maybe_save();
        // Output that ^S held back would be lost at the close.
        close_pty();
    }
    return 0;
}
