// Package child runs other people's programs beside the order path: fence
// agents, hooks and checks. Each has a process group of its own and a time
// limit after which the whole group is killed, a bounded output, and a small
// environment that inherits nothing but PATH, so that no secret of this process
// reaches it.
package child
