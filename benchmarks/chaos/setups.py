"""The storages, pools and trackings that campaigns combine, and the command of their sweep."""

import random
from dataclasses import dataclass
from itertools import product

STORAGES, POOLS, TRACKINGS = ("journal", "postgresql"), ("workers", "ray"), ("database", "server")
WAITING_SHARE, MEAN_PAUSE_SECONDS = 0.75, 3.0
NETWORK = ("model.filters=[2]", "data.limit=100")
REPEATS = 3  # of half of the campaigns with this seed or a later one; earlier ones have none
FIRST_SEED_WITH_REPEATS = 400


@dataclass(frozen=True)
class Setup:
    """What a campaign runs on."""

    storage: str
    pool: str
    tracking: str

    @property
    def name(self) -> str:
        return f"{self.storage}, {self.pool}, {self.tracking}"


SETUPS = tuple(Setup(*names) for names in product(STORAGES, POOLS, TRACKINGS))


@dataclass(frozen=True)
class Step:
    """A fault."""

    waits: bool  # until a training begins; else it may hit the start of a driver
    pause: float  # in seconds, after that
    fault: str
    size: float  # from 0 to 1: how long or how much


@dataclass(frozen=True)
class Plan:
    """A campaign.

    The same setup and seed give the same plan; the moments of its faults depend on the machine.
    """

    setup: Setup
    seed: int
    trials: int
    drivers: int
    sampler: str
    repeats: int
    steps: tuple[Step, ...]


def make_plan(setup: Setup, seed: int, faults: dict[str, float], trials: int = 0, steps: int = 0) -> Plan:
    """Draws a campaign.

    Args:
        setup: What it runs on.
        seed: The same seed draws the same campaign.
        faults: The faults that this machine and setup allow, with their weights.
        trials: The sweep's total; 0 draws it.
        steps: The number of faults; 0 draws it.
    """
    draw = random.Random(f"{setup.name} {seed}")
    trials = trials or draw.randint(24, 48)
    drivers = draw.choice((1, 1, 2))
    sampler = draw.choice(("random", "tpe"))
    names, weights = list(faults), list(faults.values())
    drawn = tuple(
        Step(
            draw.random() < WAITING_SHARE,
            draw.expovariate(1 / MEAN_PAUSE_SECONDS),
            draw.choices(names, weights)[0],
            draw.random(),
        )
        for _ in range(steps or draw.randint(8, 14))
    )
    has_repeats = seed >= FIRST_SEED_WITH_REPEATS and draw.random() < 0.5
    return Plan(setup, seed, trials, drivers, sampler, REPEATS if has_repeats else 1, drawn)


def overrides(plan: Plan, storage_url: str, tracking_url: str, ray_address: str) -> list[str]:
    """Returns the overrides of the campaign's command."""
    found = [
        *("trial.target=benchmarks.chaos.trial:train", f"sampler={plan.sampler}", *NETWORK),
        *("optimizer.learning_rate=tag(log,interval(1e-4,1e-1))", f"study.trials={plan.trials}", "workers=2"),
    ]
    if plan.repeats > 1:
        found += [f"study.repeats={plan.repeats}"]
    if storage_url:
        found += ["storage=rdb", f"storage.url={storage_url}"]
    if tracking_url:
        found += [f"tracking.uri={tracking_url}"]
    if ray_address:
        found += ["hydra/launcher=ray", f"hydra.launcher.address={ray_address}"]
    return found
