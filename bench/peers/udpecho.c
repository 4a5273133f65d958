//go:build ignore

// The kernel's own path in C: a UDP echo that blocks in recvfrom(2), as most
// services do.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "udpecho: %s: %s\n", what, strerror(errno));
	exit(1);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	char b[2048];
	struct timeval look = { .tv_sec = 1 };
	pid_t parent = getppid();
	int fd, core;

	if (argc != 4) {
		fprintf(stderr, "usage: udpecho ADDRESS PORT CORE\n");
		return 2;
	}
	if (inet_pton(AF_INET, argv[1], &at.sin_addr) != 1)
		die("address");
	at.sin_port = htons((uint16_t)atoi(argv[2]));
	core = atoi(argv[3]);
	if (core >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(core, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			die("core");
	}
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		die("bind");
	// An echo whose parent was killed ends too.
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof(look)))
		die("timeout");
	printf("ready\n");
	fflush(stdout);
	while (getppid() == parent) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *)&from, &size);

		if (n >= 0)
			sendto(fd, b, (size_t)n, 0, (struct sockaddr *)&from, size);
	}
	return 0;
}
