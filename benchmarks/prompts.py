"""Fusion prompts a second: hkfr-fuse against pandas and Jinja2 with the same templates.

    python benchmarks/prompts.py [--users 20000] [--peer-users 500] [--rounds 3] > benchmarks/runs/prompts.json

Synthetic households with 60 events each, the built-in grocery templates, behaviour texts of at most 256 tokens of four
bytes, two threads and, for the peer, two processes. The peer writes fewer users, as it is slower; its first prompts must
be hkfr's, byte by byte. Needs pandas and jinja2.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lm"))
import turns  # noqa: E402

EVENTS, BUDGET, DAY = 60, 256, 86_400
DAYS = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"]


def daypart(ts):
    hour = ts % DAY // 3600
    for until, name in [(5, "night"), (11, "morning"), (14, "midday"), (18, "afternoon"), (22, "evening")]:
        if hour < until:
            return name
    return "night"


def band(price):
    return "under 2" if price < 2 else "2 to 5" if price < 5 else "5 to 10" if price < 10 else "over 10"


def percent(share):
    """Half up, in the arithmetic of hkfr."""
    import numpy as np

    return int(np.floor(np.float32(100) * np.float32(share) + np.float32(0.5)))


def median(values, least):
    values = sorted(values)
    return values[len(values) // 2] if len(values) >= least else None


class Writer:
    """One user's prompt, as a Python programmer would write it: counts by pandas, text by Jinja2."""

    def __init__(self, folder):
        import jinja2
        import pandas as pd

        loader = jinja2.FileSystemLoader(HERE.parent / "templates" / "grocery")
        self.env = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
        items = pd.read_csv(folder / "items.csv").set_index("item")
        events = pd.read_csv(folder / "events.csv")
        self.users = {user: events for user, events in events.join(items, on="item").groupby("user")}
        self.as_of = (EVENTS // 4 * 3 + 1) * DAY

    def render(self, name, **values):
        return self.env.get_template(name).render(values).strip()

    def top(self, names, n=12):
        counts = names.value_counts()
        ranked = sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:n]
        return [{"name": name, "n": int(k), "percent": percent(k / len(names))} for name, k in ranked]

    def facts(self, events):
        chosen = events[events.action == "purchase"]
        exposed = events[events.action == "exposure-display"]
        times = chosen.ts.drop_duplicates()
        latest = chosen.tail(len(chosen) // 3)
        before = chosen.head(len(chosen) - len(latest))
        share = lambda names: names.value_counts() / max(len(names), 1)
        was, now = share(before.category), share(latest.category)
        n_now = latest.category.value_counts()
        rising = [c for c in self.top(latest.category, len(latest)) if n_now[c["name"]] >= 3]
        rising = [c for c in rising if now[c["name"]] >= 2 * was.get(c["name"], 0)]
        bought = set(chosen.category)
        days = times.tolist()
        return {
            "n_orders": len(times),
            "n_chosen": len(chosen),
            "days_since_order": (self.as_of - days[-1]) // DAY if days else None,
            "order_interval": median([(b - a) // DAY for a, b in zip(days, days[1:])], 2),
            "order_size": median(chosen.ts.value_counts().tolist(), 1) or 0,
            "repeat_percent": percent(chosen.item.duplicated().sum() / max(len(chosen), 1)),
            "categories": self.top(chosen.category),
            "weekdays": self.top(times.map(lambda ts: DAYS[ts // DAY % 7])),
            "dayparts": self.top(times.map(daypart)),
            "price_bands": self.top(chosen.price.map(band), 4),
            "rising": rising[:12],
            "converted": [c for c in self.top(exposed.category, len(exposed)) if c["name"] in bought][:12],
        }

    def visit(self, ts, events):
        lines = []
        for action, of_kind in events.groupby("action", sort=False):
            items = of_kind.head(12)[["title", "category"]].to_dict("records")
            values = {"items": items, "more": max(len(of_kind) - 12, 0), "texts": []}
            lines.append(self.render(f"events/product.{action}.jinja", **values))
        days_ago = (self.as_of - ts) // DAY
        return {"days_ago": days_ago, "weekday": DAYS[ts // DAY % 7], "daypart": daypart(ts), "lines": lines}

    def prompt(self, user):
        events = self.users[user]
        facts = self.facts(events)
        visits = [self.visit(ts, of_visit) for ts, of_visit in reversed(list(events.groupby("ts")))]
        profile_text = self.render("profile.jinja", profile={"age": "35-44"})
        best, low, high = None, 0, min(len(visits), BUDGET // 4)
        while low <= high:
            n = (low + high + 1) // 2
            text = self.render("behaviour.jinja", profile_text=profile_text, facts=facts, recent=visits[:n])
            if -(-len(text.encode()) // 4) <= BUDGET:
                best, low = text, n + 1
            else:
                high = n - 1
        return self.render("fusion.jinja", behaviour=best)


def share(folder, users):
    """One process: writes these users' prompts; returns the seconds, reading the files not counted."""
    writer = Writer(folder)
    start = time.perf_counter()
    prompts = [writer.prompt(user) for user in users]
    return time.perf_counter() - start, prompts


def peer(folder, n_users):
    import concurrent.futures

    expected = [json.loads(line) for line in open(folder / "prompts.jsonl")]
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        parts = [range(n_users)[i::2] for i in range(2)]
        results = list(pool.map(share, [folder] * 2, parts))
    prompts = {user: prompt for part, (_, written) in zip(parts, results) for user, prompt in zip(part, written)}
    for user, prompt in enumerate(expected[:n_users]):
        if prompts[user] != prompt:
            sys.exit(f"user {user}:\n{prompts[user]}\n\nand not\n\n{prompt}")
    seconds = max(seconds for seconds, _ in results)
    print(json.dumps({"users_a_second": n_users / seconds}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=20000)
    parser.add_argument("--peer-users", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", type=pathlib.Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args.peer, args.peer_users)
    ours = turns.example("prompt_speed")
    with tempfile.TemporaryDirectory() as folder:
        turns.run([ours, args.peer_users, EVENTS, BUDGET, 2, folder])
        itself = [sys.executable, __file__, "--peer", folder, "--peer-users", args.peer_users]
        systems = {"hkfr": [ours, args.users, EVENTS, BUDGET, 2], "pandas and Jinja2": itself}
        results = turns.take_turns(systems, args.rounds)
    result = turns.header("fusion prompts a second, two threads", "", ["pandas", "jinja2"])
    asked = f"--users {args.users} --peer-users {args.peer_users} --rounds {args.rounds}"
    result["command"] = f"python benchmarks/prompts.py {asked}"
    result |= {
        "events_a_user": EVENTS,
        "budget_tokens": BUDGET,
        "users_a_second": turns.spreads(results, "users_a_second"),
        "times_faster": turns.ratios(results, [("hkfr", "pandas and Jinja2")], "users_a_second"),
        "busy_with_others": turns.others(results),
    }
    turns.finish(result, True)


main()
