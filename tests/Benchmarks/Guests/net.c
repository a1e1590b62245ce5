// Measures sockets over loopback. usage: net pingpong | net idle COUNT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int listener(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(l, (struct sockaddr *)&a, n) != 0 || listen(l, 4096) != 0 || getsockname(l, (struct sockaddr *)&a, &n) != 0)
        exit(1);
    *port = a.sin_port;
    return l;
}

static int dial(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = port};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) != 0)
        exit(2);
    return s;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

// Two processes hand one byte to and fro; the median of 21 rounds of 1000.
static void pingpong(void)
{
    uint16_t port;
    int l = listener(&port), one = 1;
    char b = 0;
    if (fork() == 0) {
        int s = dial(port);
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        while (read(s, &b, 1) == 1)
            if (write(s, &b, 1) != 1)
                break;
        _exit(0);
    }
    int s = accept(l, NULL, NULL);
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    double rounds[21];
    for (int r = 0; r < 21; r++) {
        double start = now_us();
        for (int i = 0; i < 1000; i++)
            if (write(s, &b, 1) != 1 || read(s, &b, 1) != 1)
                exit(3);
        rounds[r] = (now_us() - start) / 1000;
    }
    close(s);
    wait(NULL);
    qsort(rounds, 21, sizeof *rounds, by_size);
    printf("%.2f\n", rounds[10]);
}

// As many established connections, both ends here, in an epoll set; then waits. Each has carried a byte.
static void idle(int count)
{
    uint16_t port;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int l = listener(&port), e = epoll_create1(0);
    printf("ready to connect\n");
    fflush(stdout);
    getchar();
    for (int i = 0; i < count; i++) {
        int c = dial(port), s = accept(l, NULL, NULL);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = s};
        char b = 0;
        if (s < 0 || epoll_ctl(e, EPOLL_CTL_ADD, s, &event) != 0 || write(c, &b, 1) != 1 || read(s, &b, 1) != 1)
            exit(4);
    }
    printf("connected %d\n", count);
    fflush(stdout);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "pingpong") == 0)
        pingpong();
    else if (argc > 2 && strcmp(argv[1], "idle") == 0)
        idle(atoi(argv[2]));
    else
        return 64;
    return 0;
}
