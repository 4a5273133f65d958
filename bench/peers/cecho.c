//go:build ignore

// The yardstick: AF_XDP in C, no library, both rings polled, one sendto(2) for
// each batch. As echo server it turns UDP frames round; as --client it sends
// one frame at a time, spins for its return and prints the round trips as JSON.
//
// The socket map is inherited as a descriptor (--map-fd); its program sends
// this endpoint's UDP traffic here.

#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

#define RX_FRAMES 512u
#define TX_FRAMES 512u
#define FRAME_BYTES 2048u
#define HEADER_BYTES 42
#define BATCH 64u

struct ring {
	uint32_t *producer, *consumer, *flags;
	void *desc;
};

static struct {
	int fd;
	uint8_t *memory;
	struct ring fill, completion, rx, tx;
	uint32_t fill_next, completion_next, rx_next, tx_next;
	uint64_t free[TX_FRAMES];
	uint32_t free_count;
} xsk;

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "cecho: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void set(int name, uint32_t value)
{
	if (setsockopt(xsk.fd, SOL_XDP, name, &value, sizeof(value)))
		die("ring size");
}

static void map_ring(struct ring *r, const struct xdp_ring_offset *off, uint64_t pgoff,
		     size_t desc_bytes)
{
	uint8_t *m = mmap(NULL, off->desc + desc_bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, xsk.fd, (off_t)pgoff);

	if (m == MAP_FAILED)
		die("map ring");
	r->producer = (uint32_t *)(m + off->producer);
	r->consumer = (uint32_t *)(m + off->consumer);
	r->flags = (uint32_t *)(m + off->flags);
	r->desc = m + off->desc;
}

static void open_socket(const char *interface, uint32_t queue, int map_fd)
{
	size_t bytes = (size_t)(RX_FRAMES + TX_FRAMES) * FRAME_BYTES;
	struct xdp_umem_reg reg = { .chunk_size = FRAME_BYTES };
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);
	struct sockaddr_xdp addr = { .sxdp_family = AF_XDP, .sxdp_queue_id = queue };
	union bpf_attr attr;

	xsk.fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (xsk.fd < 0)
		die("AF_XDP socket");
	xsk.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (xsk.memory == MAP_FAILED)
		die("frame memory");
	reg.addr = (uintptr_t)xsk.memory;
	reg.len = bytes;
	if (setsockopt(xsk.fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		die("register frame memory");
	set(XDP_UMEM_FILL_RING, RX_FRAMES);
	set(XDP_UMEM_COMPLETION_RING, TX_FRAMES);
	set(XDP_RX_RING, RX_FRAMES);
	set(XDP_TX_RING, TX_FRAMES);
	if (getsockopt(xsk.fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		die("ring offsets");
	map_ring(&xsk.fill, &off.fr, XDP_UMEM_PGOFF_FILL_RING, RX_FRAMES * sizeof(uint64_t));
	map_ring(&xsk.completion, &off.cr, XDP_UMEM_PGOFF_COMPLETION_RING,
		 TX_FRAMES * sizeof(uint64_t));
	map_ring(&xsk.rx, &off.rx, XDP_PGOFF_RX_RING, RX_FRAMES * sizeof(struct xdp_desc));
	map_ring(&xsk.tx, &off.tx, XDP_PGOFF_TX_RING, TX_FRAMES * sizeof(struct xdp_desc));
	for (uint32_t i = 0; i < RX_FRAMES; i++)
		((uint64_t *)xsk.fill.desc)[i] = (uint64_t)i * FRAME_BYTES;
	xsk.fill_next = RX_FRAMES;
	__atomic_store_n(xsk.fill.producer, xsk.fill_next, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < TX_FRAMES; i++)
		xsk.free[i] = (uint64_t)(RX_FRAMES + TX_FRAMES - 1 - i) * FRAME_BYTES;
	xsk.free_count = TX_FRAMES;
	addr.sxdp_ifindex = if_nametoindex(interface);
	if (!addr.sxdp_ifindex)
		die("interface");
	addr.sxdp_flags = XDP_USE_NEED_WAKEUP | XDP_COPY;
	for (int i = 0; bind(xsk.fd, (struct sockaddr *)&addr, sizeof(addr)); i++) {
		if (errno != EBUSY || i == 100)
			die("bind");
		usleep(5000); // a queue just closed is still being torn down
	}
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map_fd;
	attr.key = (uintptr_t)&queue;
	attr.value = (uintptr_t)&xsk.fd;
	if (syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)))
		die("register socket");
}

static inline uint32_t received(void)
{
	return __atomic_load_n(xsk.rx.producer, __ATOMIC_ACQUIRE) - xsk.rx_next;
}

static inline uint8_t *rx_frame(uint32_t i, uint32_t *len)
{
	struct xdp_desc *d = &((struct xdp_desc *)xsk.rx.desc)[(xsk.rx_next + i) & (RX_FRAMES - 1)];

	*len = d->len;
	return xsk.memory + d->addr;
}

static inline void rx_done(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++, xsk.rx_next++) {
		uint64_t addr =
			((struct xdp_desc *)xsk.rx.desc)[xsk.rx_next & (RX_FRAMES - 1)].addr;

		((uint64_t *)xsk.fill.desc)[xsk.fill_next++ & (RX_FRAMES - 1)] =
			addr & ~(uint64_t)(FRAME_BYTES - 1);
	}
	__atomic_store_n(xsk.rx.consumer, xsk.rx_next, __ATOMIC_RELEASE);
	__atomic_store_n(xsk.fill.producer, xsk.fill_next, __ATOMIC_RELEASE);
}

static inline uint8_t *tx_reserve(uint64_t *addr)
{
	uint32_t end = __atomic_load_n(xsk.completion.producer, __ATOMIC_ACQUIRE);

	if (end != xsk.completion_next) {
		while (xsk.completion_next != end)
			xsk.free[xsk.free_count++] =
				((uint64_t *)xsk.completion
					 .desc)[xsk.completion_next++ & (TX_FRAMES - 1)];
		__atomic_store_n(xsk.completion.consumer, xsk.completion_next, __ATOMIC_RELEASE);
	}
	if (!xsk.free_count)
		return NULL;
	*addr = xsk.free[--xsk.free_count];
	return xsk.memory + *addr;
}

static inline void tx_submit(uint64_t addr, uint32_t len)
{
	struct xdp_desc *d = &((struct xdp_desc *)xsk.tx.desc)[xsk.tx_next++ & (TX_FRAMES - 1)];

	d->addr = addr;
	d->len = len;
	d->options = 0;
}

static inline void kick(void)
{
	uint32_t sent = __atomic_load_n(xsk.tx.consumer, __ATOMIC_ACQUIRE);

	if (sent == xsk.tx_next)
		return;
	__atomic_store_n(xsk.tx.producer, xsk.tx_next, __ATOMIC_RELEASE);
	if (!(__atomic_load_n(xsk.tx.flags, __ATOMIC_ACQUIRE) & XDP_RING_NEED_WAKEUP))
		return;
	while (sendto(xsk.fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0) {
		uint32_t now;

		if (errno != EAGAIN && errno != EBUSY && errno != ENOBUFS && errno != EINTR)
			die("sendto");
		now = __atomic_load_n(xsk.tx.consumer, __ATOMIC_ACQUIRE);
		if (now == xsk.tx_next || now == sent)
			return;
		sent = now;
	}
}

static inline void swap(uint8_t *a, uint8_t *b, size_t n)
{
	uint8_t t[6];

	memcpy(t, a, n);
	memcpy(a, b, n);
	memcpy(b, t, n);
}

static void echo(void)
{
	// Spinning on for nobody would cost a core: end with the parent. (Not by
	// PR_SET_PDEATHSIG, which goes by the parent's thread.)
	pid_t parent = getppid();
	uint32_t idle = 0;

	while (!stopped) {
		uint32_t n = received();

		if (!n) {
			if (!(++idle & ((1u << 20) - 1)) && getppid() != parent)
				return;
			continue;
		}
		if (n > BATCH)
			n = BATCH;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t len;
			uint64_t addr;
			uint8_t *in = rx_frame(i, &len), *out = tx_reserve(&addr);

			if (!out)
				continue;
			swap(in, in + 6, 6);
			swap(in + 26, in + 30, 4);
			swap(in + 34, in + 36, 2);
			memcpy(out, in, len);
			tx_submit(addr, len);
		}
		kick();
		rx_done(n);
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int ping(const uint8_t *frame, uint32_t frame_bytes, uint32_t warmup, uint32_t count)
{
	uint64_t *rtt = calloc(count, sizeof(*rtt));
	uint32_t done = 0, lost = 0;

	if (!rtt)
		die("memory");
	for (uint32_t i = 0; i < warmup + count && !stopped; i++) {
		uint64_t addr, start, end;
		uint8_t *out = tx_reserve(&addr);

		if (!out) {
			errno = ENOBUFS;
			die("no free frame");
		}
		memcpy(out, frame, frame_bytes);
		memcpy(out + HEADER_BYTES, &i, sizeof(i));
		start = now_ns();
		tx_submit(addr, frame_bytes);
		kick();
		for (;;) {
			uint32_t len, number = ~0u;

			end = now_ns();
			if (received()) {
				uint8_t *in = rx_frame(0, &len);

				if (len >= HEADER_BYTES + sizeof(number))
					memcpy(&number, in + HEADER_BYTES, sizeof(number));
				end = now_ns();
				rx_done(1);
				if (number == i)
					break;
			}
			/* Off its core for long is not lost. */
			if (end - start > 1000000000u) {
				lost++;
				end = 0;
				break;
			}
		}
		if (end && i >= warmup)
			rtt[done++] = end - start;
	}
	qsort(rtt, done, sizeof(*rtt), by_value);
#define AT(q) (done ? (unsigned long long)rtt[(uint32_t)((double)(done - 1) * (q))] : 0ull)
	printf("{\"count\":%u,\"lost\":%u,\"p50_ns\":%llu,\"p90_ns\":%llu,\"p99_ns\":%llu,\"p999_"
	       "ns\":%llu,\"p9999_ns\":%llu,\"max_ns\":%llu}\n",
	       done, lost, AT(0.5), AT(0.9), AT(0.99), AT(0.999), AT(0.9999), AT(1.0));
	return 0;
}

static uint32_t read_frame(const char *hex, uint8_t *b, uint32_t size)
{
	uint32_t n = 0;

	for (unsigned int v; n < size && sscanf(hex + 2 * n, "%2x", &v) == 1; n++)
		b[n] = (uint8_t)v;
	return n;
}

int main(int argc, char **argv)
{
	const char *interface = NULL, *hex = NULL;
	uint32_t queue = 0, count = 100000, warmup = 10000;
	int map_fd = 3, core = -1;

	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];

		if (!strcmp(name, "--interface"))
			interface = value;
		else if (!strcmp(name, "--queue"))
			queue = (uint32_t)atoi(value);
		else if (!strcmp(name, "--map-fd"))
			map_fd = atoi(value);
		else if (!strcmp(name, "--core"))
			core = atoi(value);
		else if (!strcmp(name, "--client"))
			hex = value; // the frame to send
		else if (!strcmp(name, "--count"))
			count = (uint32_t)atoi(value);
		else if (!strcmp(name, "--warmup"))
			warmup = (uint32_t)atoi(value);
	}
	if (!interface) {
		fprintf(stderr, "cecho: --interface is missing\n");
		return 2;
	}
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	if (core >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(core, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			die("core");
	}
	open_socket(interface, queue, map_fd);
	if (hex) {
		uint8_t frame[FRAME_BYTES];
		uint32_t n = read_frame(hex, frame, sizeof(frame));

		if (n < HEADER_BYTES + sizeof(uint32_t)) {
			fprintf(stderr, "cecho: the frame is too short\n");
			return 2;
		}
		return ping(frame, n, warmup, count);
	}
	printf("ready\n");
	fflush(stdout);
	echo();
	return 0;
}
