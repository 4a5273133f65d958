//go:build ignore

// A FIX client of another make: an initiator on QuickFIX/C++ with its own file
// store. It sends orders at a rate while it is logged on, asks again for orders
// that stay unanswered after a reconnect, and writes what it saw, one JSON object a
// line, for whoever judges the other side.
//
// Connections, sequence numbers, resend requests and their answers are QuickFIX's;
// nothing here helps it.

#include <quickfix/Application.h>
#include <quickfix/FileStore.h>
#include <quickfix/Log.h>
#include <quickfix/Session.h>
#include <quickfix/SessionSettings.h>
#include <quickfix/SocketInitiator.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>

namespace
{
const long long second = 1000000000LL;

// The clock of the drill: CLOCK_MONOTONIC in nanoseconds.
long long now()
{
	timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * second + ts.tv_nsec;
}

std::atomic<bool> ending(false);

void on_signal(int)
{
	ending = true;
}

std::string field(const FIX::FieldMap &map, int tag)
{
	return map.isSetField(tag) ? map.getField(tag) : std::string();
}

std::string json(const std::string &text)
{
	std::string out = "\"";

	for (unsigned char c : text) {
		if (c == 1)
			c = '|';
		if (c == '"' || c == '\\')
			out += '\\';
		if (c >= ' ' && c < 127)
			out += (char)c;
	}
	return out + "\"";
}

// The history: one line an event, in the order of their times.
class History
{
      public:
	explicit History(const std::string &path) : file(fopen(path.c_str(), "w"))
	{
		if (!file) {
			perror(path.c_str());
			exit(1);
		}
	}
	~History()
	{
		fclose(file);
	}
	void event(const char *what, const std::string &more = "")
	{
		std::lock_guard<std::mutex> hold(lock);

		fprintf(file, "{\"ns\":%lld,\"event\":\"%s\"%s}\n", now(), what, more.c_str());
		if (now() - flushed > second / 20) {
			fflush(file);
			flushed = now();
		}
	}

      private:
	FILE *file;
	std::mutex lock;
	long long flushed = 0;
};

// What QuickFIX says of connections goes into the history too.
class HistoryLog : public FIX::Log
{
      public:
	explicit HistoryLog(History &history) : history(history)
	{
	}
	void clear() override
	{
	}
	void backup() override
	{
	}
	void onIncoming(const std::string &) override
	{
	}
	void onOutgoing(const std::string &) override
	{
	}
	void onEvent(const std::string &text) override
	{
		if (text.compare(0, 11, "Connecting ") == 0)
			history.event("connecting");
		else if (text == "Connection succeeded")
			history.event("connected");
		else if (text == "Connection failed")
			history.event("connect_failed");
		else
			history.event("said", ",\"text\":" + json(text));
	}

      private:
	History &history;
};

class HistoryLogFactory : public FIX::LogFactory
{
      public:
	explicit HistoryLogFactory(History &history) : history(history)
	{
	}
	FIX::Log *create() override
	{
		return new HistoryLog(history);
	}
	FIX::Log *create(const FIX::SessionID &) override
	{
		return new HistoryLog(history);
	}
	void destroy(FIX::Log *log) override
	{
		delete log;
	}

      private:
	History &history;
};

struct Options {
	std::string host, port, sender, target, version = "FIX.4.4", store, history,
						symbol = "ONEB";
	std::string user, password;
	double rate = 500, seconds = 5;
	int reconnect = 1, heartbeat = 5;
	long long price = 10000, first = 1;
};

class Client : public FIX::Application
{
      public:
	Client(const Options &o, History &history) : o(o), history(history)
	{
	}

	void onCreate(const FIX::SessionID &id) override
	{
		session = id;
	}
	void onLogon(const FIX::SessionID &) override
	{
		history.event("logon");
		std::lock_guard<std::mutex> hold(lock);
		logged_on = true;
		logon_ns = now();
	}
	void onLogout(const FIX::SessionID &) override
	{
		history.event("logout");
		std::lock_guard<std::mutex> hold(lock);
		logged_on = false;
	}
	void toAdmin(FIX::Message &m, const FIX::SessionID &) override
	{
		if (field(m.getHeader(), 35) == "A") {
			if (!o.user.empty())
				m.setField(553, o.user);
			if (!o.password.empty())
				m.setField(554, o.password);
		}
		admin("sent", m);
	}
	void fromAdmin(const FIX::Message &m,
		       const FIX::SessionID &) throw(FIX::FieldNotFound, FIX::IncorrectDataFormat,
						     FIX::IncorrectTagValue,
						     FIX::RejectLogon) override
	{
		admin("got", m);
	}
	void toApp(FIX::Message &m, const FIX::SessionID &) throw(FIX::DoNotSend) override
	{
		history.event("order", numbers(m) + ",\"id\":" + json(field(m, 11)) +
					       flag(m.getHeader(), 97, "poss_resend"));
	}
	void fromApp(const FIX::Message &m,
		     const FIX::SessionID &) throw(FIX::FieldNotFound, FIX::IncorrectDataFormat,
						   FIX::IncorrectTagValue,
						   FIX::UnsupportedMessageType) override
	{
		std::string type = field(m.getHeader(), 35), id = field(m, 11);

		history.event("report", numbers(m) + ",\"type\":" + json(type) + ",\"id\":" +
						json(id) + ",\"exec\":" + json(field(m, 150)) +
						",\"status\":" + json(field(m, 39)) +
						",\"exec_id\":" + json(field(m, 17)) +
						",\"order_id\":" + json(field(m, 37)) +
						",\"text\":" + json(field(m, 58)));
		std::lock_guard<std::mutex> hold(lock);
		waiting.erase(atoll(id.c_str()));
	}

	// A new order; false: not now.
	bool order()
	{
		{
			std::lock_guard<std::mutex> hold(lock);

			if (!logged_on)
				return false;
			waiting[next] = now();
		}
		send(next++, false);
		return true;
	}

	// Asks again for orders that stayed unanswered a second after a logon: what
	// the session's own resends could bring has come by then.
	void ask_again()
	{
		std::map<long long, long long> late;
		{
			std::lock_guard<std::mutex> hold(lock);

			if (!logged_on || now() - logon_ns < second)
				return;
			for (auto &w : waiting)
				if (now() - w.second > second)
					late.insert(w);
			for (auto &w : late)
				waiting[w.first] = now();
		}
		for (auto &w : late)
			send(w.first, true);
	}

	size_t unanswered()
	{
		std::lock_guard<std::mutex> hold(lock);

		return waiting.size();
	}
	long long sent() const
	{
		return next - o.first;
	}
	bool on()
	{
		std::lock_guard<std::mutex> hold(lock);

		return logged_on;
	}

      private:
	std::string flag(const FIX::FieldMap &map, int tag, const char *name)
	{
		return field(map, tag) == "Y" ? std::string(",\"") + name + "\":true" : "";
	}
	std::string numbers(const FIX::Message &m)
	{
		return ",\"seq\":" + field(m.getHeader(), 34) + flag(m.getHeader(), 43, "poss_dup");
	}
	void admin(const char *direction, const FIX::Message &m)
	{
		std::string type = field(m.getHeader(), 35), more;

		more = numbers(m) + ",\"type\":" + json(type);
		if (type == "A")
			more += flag(m, 141, "reset");
		if (type == "4")
			more += ",\"new_seq\":" + field(m, 36) +
				(field(m, 123) == "Y" ? "" : ",\"reset\":true");
		if (type == "2")
			more += ",\"begin\":" + field(m, 7) + ",\"end\":" + field(m, 16);
		if (type == "3" || type == "5")
			more += ",\"text\":" + json(field(m, 58));
		history.event(direction, more);
	}
	void send(long long id, bool again)
	{
		FIX::Message m;

		m.getHeader().setField(8, o.version);
		m.getHeader().setField(35, "D");
		if (again)
			m.getHeader().setField(97, "Y");
		m.setField(11, std::to_string(id));
		m.setField(21, "1");
		m.setField(38, "1");
		m.setField(40, "2");
		m.setField(44, std::to_string(o.price));
		m.setField(54, id % 2 ? "1" : "2");
		m.setField(55, o.symbol);
		m.setField(59, "0");
		m.setField(FIX::TransactTime(3));
		FIX::Session::sendToTarget(m, session);
	}

	const Options &o;
	History &history;
	FIX::SessionID session;
	std::mutex lock;
	bool logged_on = false;
	long long logon_ns = 0;
	long long next = o.first;
	std::map<long long, long long> waiting; // by ClOrdID: when it was last sent
};

FIX::SessionSettings settings(const Options &o)
{
	std::stringstream s;

	s << "[DEFAULT]\nConnectionType=initiator\nUseDataDictionary=N\nStartTime=00:00:00\n"
	  << "EndTime=00:00:00\nPersistMessages=Y\nSocketNodelay=Y\nMillisecondsInTimeStamp=Y\n"
	  << "LogonTimeout=5\nReconnectInterval=" << o.reconnect << "\nHeartBtInt=" << o.heartbeat
	  << "\nFileStorePath=" << o.store << "\nSocketConnectHost=" << o.host
	  << "\nSocketConnectPort=" << o.port << "\n[SESSION]\nBeginString=" << o.version
	  << "\nSenderCompID=" << o.sender << "\nTargetCompID=" << o.target << "\n";
	return FIX::SessionSettings(s);
}

void usage()
{
	fprintf(stderr, "usage: quickfix host=H port=P sender=S target=T store=DIR history=FILE\n"
			"  [version=FIX.4.4] [rate=500] [seconds=5] [reconnect=1] [heartbeat=5]\n"
			"  [symbol=ONEB] [price=10000] [first=1] [user=U] [password=P]\n");
	exit(2);
}

Options parse(int argc, char **argv)
{
	std::map<std::string, std::string> given;
	Options o;

	for (int i = 1; i < argc; i++) {
		std::string arg = argv[i];
		size_t at = arg.find('=');

		if (at == std::string::npos)
			usage();
		given[arg.substr(0, at)] = arg.substr(at + 1);
	}
	auto text = [&](const char *name, std::string &into) {
		if (given.count(name))
			into = given[name];
		given.erase(name);
	};
	auto number = [&](const char *name, auto &into) {
		if (given.count(name))
			into = atof(given[name].c_str());
		given.erase(name);
	};
	text("host", o.host);
	text("port", o.port);
	text("sender", o.sender);
	text("target", o.target);
	text("version", o.version);
	text("store", o.store);
	text("history", o.history);
	text("symbol", o.symbol);
	text("user", o.user);
	text("password", o.password);
	number("rate", o.rate);
	number("seconds", o.seconds);
	number("reconnect", o.reconnect);
	number("heartbeat", o.heartbeat);
	number("price", o.price);
	number("first", o.first);
	if (!given.empty() || o.host.empty() || o.port.empty() || o.sender.empty() ||
	    o.target.empty() || o.store.empty() || o.history.empty() || o.rate <= 0)
		usage();
	return o;
}

// Sends at the rate until time is over or a signal says so; then waits for what
// is unanswered. What was due while nobody was logged on is not made up for.
void run(const Options &o, Client &client)
{
	const long long every = (long long)(second / o.rate),
			end = now() + (long long)(o.seconds * second);
	pid_t parent = getppid();
	long long due = now();

	while (!ending && now() < end && getppid() == parent) {
		if (now() < due) {
			std::this_thread::sleep_for(std::chrono::nanoseconds(due - now()));
			continue;
		}
		due = client.order() ? due + every : now() + every;
		if (due < now() - second / 10)
			due = now(); // it was kept off its core
		client.ask_again();
	}
	for (long long limit = now() + 10 * second; client.unanswered() && now() < limit;) {
		std::this_thread::sleep_for(std::chrono::milliseconds(2));
		client.ask_again();
	}
}
} // namespace

int main(int argc, char **argv)
{
	Options o = parse(argc, argv);
	History history(o.history);
	Client client(o, history);

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	try {
		FIX::SessionSettings s = settings(o);
		FIX::FileStoreFactory store(s);
		HistoryLogFactory log(history);
		FIX::SocketInitiator initiator(client, store, s, log);

		initiator.start();
		run(o, client);
		history.event("ending");
		initiator.stop();
	} catch (const std::exception &e) {
		fprintf(stderr, "quickfix: %s\n", e.what());
		return 1;
	}
	printf("{\"sent\":%lld,\"unanswered\":%zu}\n", client.sent(), client.unanswered());
	return 0;
}
