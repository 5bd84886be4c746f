"""What would break or slow a run on these hosts, judged from what they said of themselves; each with its remedy."""

import statistics
from collections import Counter
from dataclasses import dataclass

from mpiedge.runtime.resources import format_size

BREAKS, WARNS, NOTES = "break", "warn", "note"
LEAST_MEMORY, TRAIN_MEMORY, LEAST_DISK = 100e6, 400e6, 500e6
SWAP, HOT, SKEW_S = 100e6, 80.0, 1.0
SLOW_LINK, SLOW_LATENCY_S = 15e6, 0.002
"""Bytes a second of 100 Mbit/s, with some room; a wired network answers in well under 2 ms."""

UNEQUAL = 1.5


@dataclass(frozen=True)
class Finding:
    """One thing to know. level: break (a run would fail), warn (it would be slow or at risk) or note."""

    level: str
    check: str
    text: str
    remedy: str = ""


def examine(hosts: list[dict], job: dict) -> list[Finding]:
    """Local: the findings, the worst first.

    hosts: facts of each host (see host_facts.py), with torch, launcher and ranks. job: library, launched, size,
    size_hint, links (see links.py), sees (for each rank), speeds (for each rank, with its host).
    """
    found = [*_launch(hosts, job), *_versions(hosts), *_torch(hosts), *_folder(hosts, job), *_links(hosts, job)]
    for host in hosts:
        found += _host(host)
    found += _speed(job["speeds"])
    return sorted(found, key=lambda finding: (BREAKS, WARNS, NOTES).index(finding.level))


def _launch(hosts: list[dict], job: dict):
    library, tool = job["library"], hosts[0].get("launcher", "")
    brand = "MPICH" if "mpich" in library.lower() else "Open MPI" if "open mpi" in library.lower() else ""
    if job["launched"] and job["size_hint"] > 1 and job["size"] == 1:
        yield Finding(BREAKS, "launcher", f"mpirun started {job['size_hint']} processes, but each is alone: it is not "
                      f"the launcher of the library ({library})", "Use the mpirun that came with this library")
    elif not tool:
        yield Finding(WARNS, "launcher", "there is no mpirun in PATH", "Source bin/mpiedge-env.sh")
    elif brand and not tool.startswith(brand):
        yield Finding(BREAKS, "launcher", f"mpirun is {tool}, the library is {library}",
                      "Put the mpirun of the library first in PATH: source bin/mpiedge-env.sh")
    else:
        version = tool.removeprefix(brand).strip()
        if version and version not in library:
            yield Finding(WARNS, "launcher", f"mpirun is {tool}, the library is {library}", "Use those of one version")
        else:
            yield Finding(NOTES, "launcher", f"{library}, mpirun of {tool}")
    libraries = Counter(host["library"] for host in hosts)
    if len(libraries) > 1:
        usual = libraries.most_common(1)[0][0]
        other = next(host for host in hosts if host["library"] != usual)
        yield Finding(BREAKS, "library", f"{other['host']} has {other['library']}, others {usual}",
                      "Install the same MPI library on every host")


def _versions(hosts: list[dict]):
    for name in hosts[0]["versions"]:
        versions = Counter(host["versions"].get(name, "") for host in hosts)
        if len(versions) > 1:
            usual = versions.most_common(1)[0][0]
            others = [f"{host['host']} has {host['versions'].get(name) or 'none'}" for host in hosts
                      if host["versions"].get(name, "") != usual]
            level = BREAKS if name in ("mpiedge", "mpi4py") else WARNS
            yield Finding(level, "versions", f"{name}: {', '.join(others[:5])}; usual is {usual or 'none'}",
                          "Install the same versions on every host, with the same bin/quickstart --install")
    for name, version in hosts[0]["versions"].items():
        if not version and len({host["versions"].get(name, "") for host in hosts}) == 1:
            yield Finding(BREAKS, "versions", f"{name} is not installed", "Install with bin/quickstart --install")


def _torch(hosts: list[dict]):
    for host in hosts:
        if host.get("torch"):
            remedy = ("The wheel uses instructions this processor lacks: install an older torch (2.4 or newer), or "
                      "train on other hosts" if "SIGILL" in host["torch"] else "Install with bin/quickstart --install")
            yield Finding(BREAKS, "torch", f"{host['host']}: {host['torch']}", remedy)


def _folder(hosts: list[dict], job: dict):
    first = hosts[0]["folder"]
    if not first["writable"]:
        yield Finding(BREAKS, "folder", f"rank 0 ({hosts[0]['host']}) cannot write to {first['path']}",
                      "Choose another folder with --run, or start where rank 0 may write")
    if len(hosts) > 1 and job["sees"][0]:
        blind = sorted({host["host"] for host in hosts if not all(job["sees"][rank] for rank in host["ranks"])})
        served = f"{first['path']} is not shared with {', '.join(blind[:5])}: chunks travel over MPI"
        yield Finding(NOTES, "folder", served if blind else f"{first['path']} is shared by all hosts")
    for host in hosts if job["sees"] and all(job["sees"]) else hosts[:1]:
        folder = host["folder"]
        if folder["writable"] and not folder["locks"]:
            yield Finding(WARNS, "folder", f"{host['host']}: {folder['path']} knows no locks; two programs in one run "
                          "folder are not noticed", "Mount it with locks (NFS: nfsvers=4, or start rpc.statd)")
        if folder["open_to_all"]:
            yield Finding(WARNS, "folder", f"{host['host']}: everyone may write into {folder['path']}",
                          f"chmod o-w {folder['path']}")
        if folder["free_bytes"] is not None and folder["free_bytes"] < LEAST_DISK:
            free = format_size(folder["free_bytes"])
            yield Finding(WARNS, "disk", f"{host['host']}: {free} free in {folder['path']}",
                          "Free space, or choose another folder with --run")


def _links(hosts: list[dict], job: dict):
    twice = Counter(address["address"] for host in hosts for address in host["addresses"])
    for address, times in twice.items():
        if times > 1:
            name = next(entry["interface"] for host in hosts for entry in host["addresses"]
                        if entry["address"] == address)
            yield Finding(WARNS, "network", f"{times} hosts have the address {address} ({name}): MPI may take one for "
                          "another", f"mpirun --mca btl_tcp_if_exclude lo,{name} ...")
    if len(hosts) > 1:
        common = set.intersection(*({entry["network"] for entry in host["addresses"]} for host in hosts))
        if not common:
            yield Finding(WARNS, "network", "the hosts have no network in common",
                          "Put them on one network, or name it: mpirun --mca btl_tcp_if_include 192.168.1.0/24 ...")
    rates = [link["bytes_per_s"] for link in job["links"]]
    for link in job["links"] if len(hosts) > 1 else []:
        told = f"{link['host']}: {link['latency_s'] * 1e3:.2f} ms, {link['bytes_per_s'] * 8 / 1e6:.0f} Mbit/s"
        if link["bytes_per_s"] < min(SLOW_LINK, statistics.median(rates) / 4) or link["bytes_per_s"] < SLOW_LINK:
            yield Finding(WARNS, "link", f"{told}: one slow link slows every exchange", "Check cable, port and switch "
                          "(ethtool says the speed), or leave this host out")
        elif link["latency_s"] > SLOW_LATENCY_S:
            yield Finding(WARNS, "link", f"{told}: slow to answer", "Use a cable instead of Wi-Fi")
        else:
            yield Finding(NOTES, "link", told)
        if abs(link["clock_s"]) > SKEW_S:
            yield Finding(WARNS, "clock", f"{link['host']}: its clock is {link['clock_s']:+.1f} s off",
                          "Keep time with NTP: timedatectl set-ntp true")


def _host(host: dict):
    name, ranks = host["host"], len(host["ranks"])
    each = host["free_bytes"] / ranks
    memory = f"{name}: {format_size(host['free_bytes'])} free for {ranks} rank{'s' * (ranks > 1)}"
    if each < LEAST_MEMORY:
        yield Finding(BREAKS, "memory", memory, "Give the host fewer slots, or end other programs")
    elif each < TRAIN_MEMORY:
        yield Finding(WARNS, "memory", f"{memory}: little for training", "Give the host fewer slots")
    else:
        yield Finding(NOTES, "memory", memory)
    if ranks > host["cores"]:
        yield Finding(WARNS, "slots", f"{name}: {ranks} ranks on {host['cores']} cores", "Give the host fewer slots")
    if host["swap_used_bytes"] > SWAP:
        yield Finding(WARNS, "swap", f"{name}: {format_size(host['swap_used_bytes'])} swapped out",
                      "End other programs, or give a smaller --memory")
    if host["load"] > 0.5 * host["cores"]:
        yield Finding(WARNS, "load", f"{name}: load {host['load']:.1f} on {host['cores']} cores before the run",
                      "End other programs")
    if host["governor"] == "powersave" and host["machine"].startswith(("aarch64", "arm")):
        yield Finding(WARNS, "governor", f"{name}: powersave keeps the processor slow",
                      "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")
    if left := host["sessions"]:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        yield Finding(WARNS, "leftovers", f"{name}: {left[0]}{more} left by killed launchers; an mpirun that gets the "
                      "same process number does not start", f"rm -r {' '.join(left[:5])}, or start any stage there")
    if host["throttled"]:
        yield Finding(WARNS, "throttling", f"{name}: {', '.join(host['throttled'])}",
                      "A stronger power supply against undervoltage, a heat sink or fan against heat")
    if host["temperature"] is not None and host["temperature"] > HOT:
        yield Finding(WARNS, "heat", f"{name}: {host['temperature']:.0f} degrees Celsius", "Cool it: heat sink or fan")
    for entry in host["addresses"]:
        if entry["public"]:
            yield Finding(WARNS, "network", f"{name}: {entry['address']} ({entry['interface']}) is a public address, "
                          "and MPI listens on it without a password", "Block its ports from outside, and mpirun --mca "
                          f"btl_tcp_if_exclude lo,{entry['interface']} ...")


def profile(hosts: list[dict], job: dict) -> dict[str, dict]:
    """Local: host -> what hosts.json keeps of it: mean speed of its ranks, cores, memory, the link to rank 0."""
    links = {link["host"]: link for link in job["links"]}
    found = {}
    for host in hosts:
        name = host["host"]
        own = [entry["speed"] for entry in job["speeds"] if entry["host"] == name]
        link = links.get(name, {})
        found[name] = {"speed": statistics.fmean(own), "ranks": len(own), "cores": host["cores"],
                       "machine": host["machine"], "memory_bytes": host["memory_bytes"],
                       "latency_s": link.get("latency_s"), "bytes_per_s": link.get("bytes_per_s")}
    return found


def _speed(speeds: list[dict]):
    by_host: dict[str, list[float]] = {}
    for entry in speeds:
        by_host.setdefault(entry["host"], []).append(entry["speed"])
    means = {host: statistics.fmean(values) for host, values in by_host.items()}
    fastest = max(means.values())
    if len(means) > 1:
        order = sorted(means, key=lambda host: (-means[host], host))
        shown = order if len(order) <= 12 else [*order[:6], *order[-6:]]
        unequal = " (unequal: the queue gives each its share)" if fastest > UNEQUAL * min(means.values()) else ""
        yield Finding(NOTES, "speed", ", ".join(f"{host} {means[host] / fastest:.2f}" for host in shown) + unequal)
    for host, values in by_host.items():
        if max(values) > UNEQUAL * min(values):
            times = max(values) / min(values)
            yield Finding(WARNS, "speed", f"{host}: one of its ranks is {times:.1f} times as fast as another",
                          "End other programs there, or give it fewer slots")
