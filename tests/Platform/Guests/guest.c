// One freestanding program for all platform tests: argv[1] chooses the case. Calls above 3000 are the test kernel's own.
typedef unsigned long u64;
typedef unsigned int u32;

static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return r;
}
#define sys(n, a, b, c) sys6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)

enum { MMAP = 9, MPROTECT = 10, MUNMAP = 11, GETPID = 39, FORK = 57, VFORK = 58, EXIT = 60, WAIT4 = 61, ARCH_PRCTL = 158, EXIT_GROUP = 231, CLONE = 56, GETPPID = 110,
    TICK = 3000, COUNT = 3001, PARK = 3002, MAPFD = 3003, SPAWN = 3004, WAIT = 3005, READY = 3006, VALUE = 3007, CAS = 3008 };

static void done(int code) { for (;;) sys(EXIT_GROUP, code, 0, 0); }
static void check(int ok, int line) { if (!ok) done(line > 255 ? line % 200 + 50 : line); }
#define CHECK(x) check(!!(x), __LINE__)
static long number(const char* s) { long n = 0; while (*s) n = n * 10 + *s++ - '0'; return n; }
static int same(const char* a, const char* b) { while (*a && *a == *b) a++, b++; return *a == *b; }

static char data[8192] = "data";
static volatile u32 counter;
static u32 word = 5;

static void values(long n)
{
    u64 t;
    CHECK(sys(GETPID, 0, 0, 0) == 1);
    CHECK(sys(VALUE, 7, 0, 0) == 14);
    CHECK(sys(VALUE, -3, 0, 0) == -6);
    CHECK(sys(VALUE, 1L << 40, 0, 0) == 1L << 41);
    for (long i = 0; i < n; i++) if (sys(COUNT, i, 0, 0) != i + 7) done(99);
    __asm__ volatile("rdtsc" : "=a"(t) : : "rdx");
    __asm__ volatile("cpuid" : : "a"(0) : "rbx", "rcx", "rdx");
}

static void memory(void)
{
    for (int i = 0; i < 50; i++)
    {
        char* p = (char*)sys6(MMAP, 0, 65536, 3, 0x22, -1, 0);
        CHECK((u64)p < 0x7ffe00000000ul && (u64)p > 4096);
        for (int k = 0; k < 65536; k += 4096) { CHECK(p[k] == 0); p[k] = 1; }
        CHECK(sys(MPROTECT, p, 65536, 1) == 0);
        CHECK(p[4096] == 1);
        CHECK(sys(MUNMAP, p, 65536, 0) == 0);
    }
}

static void many(void)
{
    // the test kernel answers by mapping 300 pages in as many operations
    char* p = (char*)sys(3010, 300, 0, 0);
    for (int i = 0; i < 300; i++) { CHECK(p[i * 8192] == 0); p[i * 8192] = i; }
}

static void forks(long n)
{
    for (long i = 0; i < n; i++)
    {
        data[0] = 'p';
        long pid = sys(FORK, 0, 0, 0);
        if (pid == 0) { CHECK(data[0] == 'p'); data[0] = 'c'; done(7); }
        CHECK(pid > 1);
        CHECK(sys(WAIT, pid, 0, 0) == 7);
        CHECK(data[0] == 'p');
    }
}

static long child_of(long flags, char* stack, void (*f)(long), long arg)
{
    register long r10 __asm__("r10") = 0, r8 __asm__("r8") = 0;
    long r;
    u64* top = (u64*)stack;
    *--top = arg; *--top = (u64)f;
    __asm__ volatile("syscall; test %%rax,%%rax; jnz 1f; pop %%rax; pop %%rdi; and $-16,%%rsp; call *%%rax; hlt; 1:"
        : "=a"(r) : "a"(CLONE), "D"(flags), "S"(top), "d"(0), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return r;
}
static void vchild(long arg) { counter = arg; done(3); }
static char stack1[8192];
static void vforks(long n)
{
    for (long i = 1; i <= n; i++)
    {
        long pid = child_of(0x4100 | 17, stack1 + 8192, vchild, i);
        CHECK(pid > 1);
        CHECK(counter == i);
        CHECK(sys(WAIT, pid, 0, 0) == 3);
    }
}

// The host process of every child is killed before it begins: the test kernel ends the child with 1000.
static void deadforks(long n)
{
    for (long i = 1; i <= n; i++)
    {
        long pid = sys(FORK, 0, 0, 0);
        if (pid == 0) done(98);
        CHECK(pid == 2 * i);
        CHECK(sys(WAIT, pid, 0, 0) == 1000);
        pid = child_of(0x4100 | 17, stack1 + 8192, vchild, i);
        CHECK(pid == 2 * i + 1);
        CHECK(sys(WAIT, pid, 0, 0) == 1000);
        CHECK(counter == 0);
    }
}

static void adder(long n) { for (long i = 0; i < n; i++) { __atomic_add_fetch(&counter, 1, 5); if (i % 64 == 0) sys(GETPPID, 0, 0, 0); } sys(TICK, 0, 0, 0); for (;;) sys(EXIT, 0, 0, 0); }
static void threads(long n, long each)
{
    char* stacks = (char*)sys6(MMAP, 0, n * 4096, 3, 0x22, -1, 0);
    for (long i = 0; i < n; i++) CHECK(child_of(0x10f00, stacks + (i + 1) * 4096, adder, each) > 0);
    CHECK(sys(WAIT, -n, 0, 0) == 0);
    CHECK(counter == n * each);
}

static void parked(long x) { sys(PARK, x, 0, 0); done(80); }
static void parkmany(long n)
{
    char* stacks = (char*)sys6(MMAP, 0, n * 4096, 3, 0x22, -1, 0);
    for (long i = 0; i < n; i++) CHECK(child_of(0x10f00, stacks + (i + 1) * 4096, parked, i) > 0);
    sys(READY, 0, 0, 0);
    sys(PARK, 0, 0, 0);
}

static void faults(void)
{
    // the test kernel steps over each faulting instruction: rax tells how many bytes
    __asm__ volatile("mov $3, %%eax; movb $1, 8(%%rax)" : : : "rax", "memory");
    __asm__ volatile("ud2");
    __asm__ volatile("int3");
    __asm__ volatile("xor %%ecx, %%ecx; mov $1, %%eax; cltd; idiv %%ecx" : : : "rax", "rcx", "rdx");
    __asm__ volatile("hlt");
    CHECK(sys(READY, 0, 0, 0) == 5);
}

static void park(void)
{
    u64 a = 0x1111, b = 0x2222;
    for (;;)
    {
        register u64 r12 __asm__("r12") = a, r15 __asm__("r15") = b;
        long r;
        __asm__ volatile("movq %%r12, %%xmm7; mov $3002, %%eax; syscall; movq %%xmm7, %%rdx" : "=a"(r), "+r"(r12), "+r"(r15) : "D"(5) : "rcx", "r11", "rdx", "xmm7", "memory");
        CHECK(r12 == a && r15 == b);
        if (r == 1) break;
        a += 3; b += 5;
    }
}

static void spin(void) { sys(READY, &counter, 0, 0); for (;;) counter++; }
static void frozen(void) { for (u32 i = 1;; i++) { data[0] = i; data[4096] = i; counter = i; if (sys(TICK, i, data, 0) == 1) return; } }

static void shared(void)
{
    u32* p = (u32*)sys(MAPFD, 0, 0, 0);
    long pid = sys(FORK, 0, 0, 0);
    if (pid == 0) { p[0] = 42; done(0); }
    CHECK(sys(WAIT, pid, 0, 0) == 0);
    CHECK(p[0] == 42);
    p[1] = 43;
}

// find the first syscall instruction in the stub's page from offset n on and jump there with these registers
static void hostile(long which)
{
    unsigned char* code = (unsigned char*)0x7ffe00000000;
    sys(READY, 0, 0, 0);
    int i = 0x100, skip = 0;
    for (; i < 0x1000; i++) if (code[i] == 0x0f && code[i + 1] == 5 && skip-- == 0) break;
    long nr, a = 0, b = 0, c = 0, d = 0, r8 = 0;
    switch (which)
    {
        case 0: nr = 0x1000; a = 1; b = -5; break;              // forged batch report
        case 1: nr = 0x1000; a = 0; b = 12; c = 0x1234; break;  // stop with a bad frame
        case 2: nr = 0x1000; a = 2; break;                      // birth
        case 3: nr = 0x1000; a = 77; break;
        case 4: nr = 56; a = 17; break;                         // fork behind the sentry's back
        case 5: nr = 2; a = (long)data; break;                  // open
        case 6: nr = 60; break;                                 // exit of the thread
        case 7: nr = 11; a = 0x7ffe40000000; b = 1 << 28; break; // unmap all slots
        case 8: nr = 9; a = 0; b = 4096; c = 3; d = 2; r8 = 0; break; // map a descriptor
        case 9: nr = 15; break;                                 // sigreturn into nothing
        case 10: nr = 0x1000; a = 0; b = 12; c = 0x7ffe40008000; break; // a well placed frame of garbage
        case 11: nr = 157; a = 1; b = 0; break;                 // outlive the sentry
        case 13: nr = 25; a = sys(MAPFD, 0, 0, 0); b = 4096; c = 1 << 20; d = 1; break; // more of a shared file than was mapped
        case 14: nr = 10; a = sys(MAPFD, 0, 0, 0); b = 4096; c = 3; break; // write to it
        case 15: nr = 28; a = sys(MAPFD, 0, 0, 0); b = 4096; c = 9; break; // punch a hole into it
        default: nr = 231; break;
    }
    register long r10 __asm__("r10") = d, x8 __asm__("r8") = r8, r9 __asm__("r9") = 0;
    register u64 rbx __asm__("rbx") = 0x7ffe40000000;
    __asm__ volatile("jmp *%%rcx" : : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(x8), "r"(r9), "r"(rbx), "c"(code + i) : "memory");
    __builtin_unreachable();
}
static void hostile_thread(long which) { hostile(which); }

static void swaps(void)
{
    CHECK(sys(CAS, &word, 5, 6) == 5 && word == 6);
    CHECK(sys(CAS, &word, 5, 7) == 6 && word == 6);
    CHECK(sys(CAS, 8, 5, 7) == -14);
    CHECK(sys(ARCH_PRCTL, 0x1002, &word, 0) == 0);
    u64 fs; __asm__ volatile("rdfsbase %0" : "=r"(fs)); CHECK(fs == (u64)&word);
}

static void swapstorm(long n, long each)
{
    char* stacks = (char*)sys6(MMAP, 0, n * 4096, 3, 0x22, -1, 0);
    for (long i = 0; i < n; i++) CHECK(child_of(0x10f00, stacks + (i + 1) * 4096, adder, each) > 0);
    for (long i = 0; i < 200;)
    {
        u32 old = counter;
        if (sys(CAS, &counter, old, old + 1) == old) i++;
    }
    CHECK(sys(WAIT, -n, 0, 0) == 0);
    CHECK(counter == n * each + 200);
    CHECK(sys(CAS, 8, 5, 7) == -14);
}

// a page that can be read but not written: the exchange faults in the stub while another thread runs
static void swapfault(void)
{
    char* stacks = (char*)sys6(MMAP, 0, 4096, 3, 0x22, -1, 0);
    u32* p = (u32*)sys6(MMAP, 0, 4096, 1, 0x22, -1, 0);
    CHECK(child_of(0x10f00, stacks + 4096, adder, 3000000) > 0);
    for (int i = 0; i < 20; i++) CHECK(sys(CAS, p, 0, 7) == -14);
    CHECK(*p == 0);
    CHECK(sys(FORK, 0, 0, 0) >= 0);
}

static void avx(void)
{
    // keep a ymm value across many stops
    u64 in[4] = { 1, 2, 3, 0x123456789abcdef }, out[4];
    for (int k = 0; k < 200; k++)
    {
        __asm__ volatile("vmovdqu %1, %%ymm5\n mov $200000, %%rcx\n 1: dec %%rcx\n jnz 1b\n vmovdqu %%ymm5, %0" : "=m"(out) : "m"(in) : "rcx", "xmm5", "memory");
        for (int i = 0; i < 4; i++) CHECK(in[i] == out[i]);
        in[0]++;
    }
}

// A call as a rewritten call site makes it: through the entry page, with a plain call to fall back on. No register may change.
static long mail(long n, long a, long b, long c)
{
    register long r10 __asm__("r10") = n * 3, r8 __asm__("r8") = n * 5, r9 __asm__("r9") = n * 7;
    register u64 r11 __asm__("r11") = 0x7ffe00001000;
    register long r12 __asm__("r12") = a + 1, r13 __asm__("r13") = b + 2, r14 __asm__("r14") = c + 3, r15 __asm__("r15") = n + 4, rbx __asm__("rbx") = n + 5;
    long r, di = a, si = b, dx = c;
    __asm__ volatile("lea 1f(%%rip), %%rcx; jmp *%%r11; 1: syscall"
        : "=a"(r), "+D"(di), "+S"(si), "+d"(dx), "+r"(r10), "+r"(r8), "+r"(r9), "+r"(r11), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15), "+r"(rbx)
        : "a"(n) : "rcx", "memory");
    CHECK(di == a && si == b && dx == c);
    CHECK(r10 == n * 3 && r8 == n * 5 && r9 == n * 7);
    CHECK(r12 == a + 1 && r13 == b + 2 && r14 == c + 3 && r15 == n + 4 && rbx == n + 5);
    return r;
}
// the same without looking at what comes of it
static long mailcall(long n, long a, long b, long c)
{
    register u64 r11 __asm__("r11") = 0x7ffe00001000;
    long r;
    __asm__ volatile("lea 1f(%%rip), %%rcx; jmp *%%r11; 1: syscall" : "=a"(r), "+D"(a), "+S"(b), "+d"(c), "+r"(r11) : "a"(n) : "rcx", "r8", "r9", "r10", "memory");
    return r;
}
enum { READ = 0, WRITE = 1, OPEN = 2, STAT = 4, POLL = 7, OPENMAIL = 3030, CAMEALONG = 3032 };

static void mails(void)
{
    char text[64] = "/some/path", back[64];
    CHECK(mail(VALUE, 21, 0, 0) == 42);
    CHECK(mail(OPEN, (long)text, 0, 0) == 10);
    CHECK(sys(CAMEALONG, 0, 0, 0) == 0); // no mailbox yet
    sys(OPENMAIL, 0, 0, 0);
    CHECK(mail(VALUE, 21, 0, 0) == 42); // not a call that uses it
    CHECK(mail(OPEN, (long)text, 0, 0) == 10);
    CHECK(sys(CAMEALONG, 0, 0, 0) == 11);
    CHECK(mail(WRITE, 1, (long)data, 5) == 5);
    CHECK(sys(CAMEALONG, 0, 0, 0) == 5);
    CHECK(mail(WRITE, 1, (long)data, 5000) == 5000);
    CHECK(sys(CAMEALONG, 0, 0, 0) == 0);
    CHECK(mail(WRITE, 1, 0, 0) == 0);
    for (int i = 0; i < 64; i++) back[i] = 'x';
    CHECK(mail(READ, 7, (long)back, 10) == 10);
    for (int i = 0; i < 10; i++) CHECK(back[i] == (char)(7 + i));
    CHECK(back[10] == 'x');
    CHECK(mail(READ, 9, (long)data, 8192) == 8192); // larger than a mailbox
    for (int i = 0; i < 8192; i++) CHECK(data[i] == (char)(9 + i));
    CHECK(mail(POLL, (long)data, 3, 0) == 3);
    CHECK(sys(CAMEALONG, 0, 0, 0) == 24);
    CHECK(mail(GETPID, 0, 0, 0) == 1);
    CHECK(mail(1L << 40, 7, (long)back, 0) == 0); // the host looks at 32 bits: a read
    CHECK(mail(511, 0, 0, 0) == -38);
    CHECK(mail(512, 0, 0, 0) == -38);
}

static void mailfaults(void)
{
    sys(OPENMAIL, 0, 0, 0);
    CHECK(mail(OPEN, 8, 0, 0) == -14); // the path is not there: the kernel hears of it by the plain call
    CHECK(sys(CAMEALONG, 0, 0, 0) == 0);
    CHECK(mail(WRITE, 1, 16, 5) == -14);
    char* p = (char*)sys6(MMAP, 0, 8192, 3, 0x22, -1, 0);
    CHECK(sys(MUNMAP, p + 4096, 4096, 0) == 0);
    p[4095] = '/';
    CHECK(mail(OPEN, (long)p + 4095, 0, 0) == 1); // without an end; the test kernel takes what it gets
    CHECK(sys(CAMEALONG, 0, 0, 0) == 0);
    p[4094] = 'a'; p[4095] = 0;
    CHECK(mail(OPEN, (long)p + 4094, 0, 0) == 1);
    CHECK(mail(READ, 7, (long)p + 4090, 16) == -14); // the test kernel promises what it cannot know
    CHECK(mail(READ, 7, (long)p, 16) == 16);
    CHECK(mail(VALUE, 4, 0, 0) == 8);
}

static void mailloop(long n)
{
    char text[32] = "/a", back[48];
    for (long i = 0; i < n; i++)
    {
        for (int k = 0; k < 48; k++) back[k] = 0;
        CHECK(mail(COUNT, i, 0, 0) == i + 7);
        CHECK(mail(READ, i, (long)back, 40) == 40);
        for (int k = 0; k < 40; k++) CHECK(back[k] == (char)(i + k));
        CHECK(back[40] == 0);
        text[1] = 'a' + i % 26;
        CHECK(mail(STAT, (long)text, (long)back, 0) == 'a' + i % 26);
    }
}
static void mailpids(long n) { sys(OPENMAIL, 0, 0, 0); for (long i = 0; i < n; i++) CHECK(mail(GETPID, 0, 0, 0) == 1); }
static void mailstorm(long n) { sys(OPENMAIL, 0, 0, 0); mailloop(n); }

static void mailforks(long n)
{
    char back[16];
    sys(OPENMAIL, 0, 0, 0);
    for (long i = 0; i < n; i++)
    {
        long pid = mail(FORK, 0, 0, 0);
        CHECK(mail(READ, i, (long)back, 16) == 16 && back[3] == (char)(i + 3));
        if (pid == 0)
        {
            CHECK(*(volatile u64*)0x7ffe40000030 == 0); // the parent's mailbox is not the child's
            sys(OPENMAIL, 0, 0, 0);
            CHECK(mail(READ, i + 1, (long)back, 16) == 16 && back[3] == (char)(i + 4));
            done(7);
        }
        CHECK(pid > 1 && sys(WAIT, pid, 0, 0) == 7);
    }
}

static void mailthread(long n)
{
    char back[32];
    sys(OPENMAIL, 0, 0, 0);
    for (long i = 0; i < n; i++)
    {
        CHECK(mail(READ, i + n, (long)back, 32) == 32);
        for (int k = 0; k < 32; k++) CHECK(back[k] == (char)(i + n + k));
    }
    sys(TICK, 0, 0, 0);
    for (;;) sys(EXIT, 0, 0, 0);
}
static void mailthreads(long n, long each)
{
    char* stacks = (char*)sys6(MMAP, 0, n * 4096, 3, 0x22, -1, 0);
    for (int round = 1; round <= 3; round++)
    {
        for (long i = 0; i < n; i++) CHECK(child_of(0x10f00, stacks + (i + 1) * 4096, mailthread, each + i) > 0);
        CHECK(sys(WAIT, -n * round, 0, 0) == 0);
    }
}

// threads that end without a mailbox of their own making, and others after them
static void quick(long x);
static void latemailthreads(long n, long each)
{
    char* stacks = (char*)sys6(MMAP, 0, n * 4096, 3, 0x22, -1, 0);
    for (long i = 0; i < n; i++) CHECK(child_of(0x10f00, stacks + (i + 1) * 4096, quick, i) > 0);
    CHECK(sys(WAIT, -n, 0, 0) == 0);
    for (long i = 0; i < n; i++) CHECK(child_of(0x10f00, stacks + (i + 1) * 4096, mailthread, each + i) > 0);
    CHECK(sys(WAIT, -n * 2, 0, 0) == 0);
}

static void mailpark(void)
{
    char text[16] = "/park";
    sys(OPENMAIL, 0, 0, 0);
    while (mail(OPEN, (long)text, 77, 0) != 1) ;
}

// threads that call by mailboxes while others write what they like into them
static void forger(long seed)
{
    u64 r = seed * 0x9E3779B97F4A7C15 + 1;
    for (;;)
    {
        r ^= r << 13; r ^= r >> 7; r ^= r << 17;
        volatile unsigned* word = (volatile unsigned*)(0x7ffe80000000 + (r >> 8) % 4 * 8192 + ((r & 1) ? 0x80 + (r >> 16) % 3 * 4 : (r >> 16) % 0x200 & ~3));
        *word = (r & 6) ? (unsigned)(r >> 40) % 7 : (unsigned)(r >> 32);
    }
}
static void careless(long n)
{
    char back[32] = "/a";
    sys(OPENMAIL, 0, 0, 0);
    sys(TICK, 0, 0, 0);
    for (;;) { mailcall(READ, n, (long)back, 32); mailcall(OPEN, (long)back, 0, 0); mailcall(GETPID, 0, 0, 0); }
}
static void mailforgers(long seed)
{
    char* stacks = (char*)sys6(MMAP, 0, 8 * 65536, 3, 0x22, -1, 0);
    sys(OPENMAIL, 0, 0, 0);
    for (long i = 1; i < 4; i++) CHECK(child_of(0x10f00, stacks + i * 65536, careless, i) > 0);
    CHECK(sys(WAIT, -3, 0, 0) == 0);
    CHECK(child_of(0x10f00, stacks + 4 * 65536, forger, seed) > 0);
    for (volatile long i = 0; i < 100000000; i++) ;
    done(0);
}

// jump to every instruction (and every other byte) of the entry page with garbage in the registers
static void hostilemail(long which)
{
    sys(OPENMAIL, 0, 0, 0);
    register u64 r11 __asm__("r11") = which & 1 ? 0x7ffe80000000 : 0x7ffe40000000;
    __asm__ volatile("lea 1f(%%rip), %%rcx; jmp *%%rdx; 1: syscall" : : "a"(READ), "D"(0), "S"(data), "d"(0x7ffe00001000 + which / 2), "r"(r11) : "rcx", "memory");
    done(0);
}

static void quick(long x) { sys(TICK, x, 0, 0); for (;;) sys(EXIT, 0, 0, 0); }
static void bench(long kind, long n)
{
    static char* pages[4096];
    char* one = (char*)sys6(MMAP, 0, 65536, 3, 0x22, -1, 0);
    for (int round = 0; round < 11; round++)
    {
        if (kind == 3) for (long i = 0; i < n; i++) pages[i] = (char*)sys6(MMAP, 0, 4096, 3, 0x22, -1, 0);
        sys(3020, 0, 0, 0);
        switch (kind)
        {
            case 0: for (long i = 0; i < n; i++) sys(GETPPID, 0, 0, 0); break;
            case 1: for (long i = 0; i < n; i++) CHECK(sys(MPROTECT, one, 65536, 1 + (i & 2)) == 0); break;
            case 2: for (long i = 0; i < n; i++) pages[i] = (char*)sys6(MMAP, 0, 4096, 3, 0x22, -1, 0); break;
            case 3: for (long i = 0; i < n; i++) CHECK(sys(MUNMAP, pages[i], 4096, 0) == 0); break;
            case 4: forks(n); break;
            case 5: vforks(n); break;
            case 6: for (long i = 0; i < n; i++) { CHECK(child_of(0x10f00, stack1 + 8192, quick, i) > 0); CHECK(sys(WAIT, -(round * n + i + 1), 0, 0) == 0); } break;
        }
        sys(3021, 0, 0, 0);
        if (kind == 2) for (long i = 0; i < n; i++) sys(MUNMAP, pages[i], 4096, 0);
    }
}

__attribute__((used)) void start(long* sp)
{
    const char* what = (const char*)sp[2];
    long n = sp[0] > 2 ? number((const char*)sp[3]) : 0, m = sp[0] > 3 ? number((const char*)sp[4]) : 0;
    if (same(what, "values")) values(n);
    else if (same(what, "memory")) for (long i = 0; i <= n; i++) memory();
    else if (same(what, "many")) for (long i = 0; i <= n; i++) many();
    else if (same(what, "fork")) forks(n);
    else if (same(what, "vfork")) vforks(n);
    else if (same(what, "deadforks")) deadforks(n);
    else if (same(what, "threads")) threads(n, m);
    else if (same(what, "parkmany")) parkmany(n);
    else if (same(what, "faults")) faults();
    else if (same(what, "park")) park();
    else if (same(what, "spin")) spin();
    else if (same(what, "frozen")) frozen();
    else if (same(what, "shared")) shared();
    else if (same(what, "hostile")) hostile(n);
    else if (same(what, "hostilethread")) { child_of(0x10f00, stack1 + 8192, hostile_thread, n); for (;;) sys(PARK, 0, 0, 0); }
    else if (same(what, "swaps")) swaps();
    else if (same(what, "avx")) avx();
    else if (same(what, "swapstorm")) swapstorm(n, m);
    else if (same(what, "swapfault")) swapfault();
    else if (same(what, "mails")) mails();
    else if (same(what, "mailfaults")) mailfaults();
    else if (same(what, "mailstorm")) mailstorm(n);
    else if (same(what, "mailforks")) mailforks(n);
    else if (same(what, "mailthreads")) mailthreads(n, m);
    else if (same(what, "mailpids")) mailpids(n);
    else if (same(what, "mailforgers")) mailforgers(n);
    else if (same(what, "latemailthreads")) latemailthreads(n, m);
    else if (same(what, "mailpark")) mailpark();
    else if (same(what, "hostilemail")) hostilemail(n);
    else if (same(what, "bench")) bench(n, m);
    else done(98);
    done(0);
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call start\n hlt\n");
