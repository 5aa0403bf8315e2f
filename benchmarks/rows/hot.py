"""A request whose credential was seen a moment ago: the time that authentication adds."""

from contextlib import AsyncExitStack
from dataclasses import replace

from benchmarks.harness.apart import contest_apart
from benchmarks.harness.contest import Entrant, Round, figure, itself
from benchmarks.harness.figures import Effort, Figure
from benchmarks.harness.subjects import added_by_ours, described, documented, proven, tuned
from benchmarks.peers import hand_written, ours, starlette_dict, starlette_pyjwt
from benchmarks.peers.apps import fastapi_app, starlette_app

KEY, AGAIN, TOKEN = "key", "the same, built again", "token"
OTHERS = (hand_written, starlette_dict, starlette_pyjwt)


async def measure(effort: Effort) -> list[Figure]:
    # What is added is small beside the request, so it takes more turns to be told.
    more = replace(effort, turns=2 * effort.turns)
    return [*await on_starlette(more), *await on_fastapi(more)]


async def on_starlette(effort: Effort) -> list[Figure]:
    entrants, rounds = await contest_apart(starlette_entrants, effort)
    return [*bare_ratios("Starlette", rounds, entrants), *beside_others(rounds, entrants)]


async def on_fastapi(effort: Effort) -> list[Figure]:
    entrants, rounds = await contest_apart(fastapi_entrants, effort)
    return bare_ratios("FastAPI", rounds, entrants)


async def starlette_entrants(stack: AsyncExitStack) -> list[Entrant]:
    entrants = await our_entrants(stack, starlette_app)
    for module in OTHERS:
        entrants += await proven(await module.subjects(stack))
    return entrants


async def fastapi_entrants(stack: AsyncExitStack) -> list[Entrant]:
    return await our_entrants(stack, fastapi_app)


async def our_entrants(stack: AsyncExitStack, build: ours.Build) -> list[Entrant]:
    return [
        Entrant(KEY, await ours.with_key(stack, build)),
        Entrant(AGAIN, await ours.with_key(stack, build)),
        Entrant(TOKEN, await ours.with_token(stack, build)),
    ]


def bare_ratios(framework: str, rounds: list[Round], entrants: list[Entrant]) -> list[Figure]:
    """Return our added time by the bare request of the framework."""
    key, _, token = entrants[:3]

    def ratio(entrant: Entrant) -> Figure:
        return figure(
            f"{framework.lower()}-{entrant.name}",
            rounds,
            lambda each: each[entrant.name].added / each[entrant.name].bare,
            subject=described(entrant, rounds, called=f"callcov-auth, {entrant.name}, on {framework}"),
        )

    return [itself(f"cached key on {framework}", rounds, KEY, AGAIN), ratio(key), ratio(token)]


def beside_others(rounds: list[Round], entrants: list[Entrant]) -> list[Figure]:
    """Return our added time by that of what is nearly free, and that of PyJWT by ours."""
    by_name = {entrant.name: entrant for entrant in entrants}

    def ours_by(row: str, name: str) -> Figure:
        return figure(
            row,
            rounds,
            lambda each: each[KEY].added / each[name].added,
            wording=f"added time ÷ that of {name}",
            subject=described(by_name[name], rounds),
        )

    def by_ours(row: str, name: str) -> Figure:
        return added_by_ours(row, by_name[name], rounds, KEY)

    middleware, floor, jwt = starlette_dict.NAME, hand_written.NAME, starlette_pyjwt.NAME
    return [
        ours_by(middleware, documented(middleware)),
        ours_by(tuned(middleware), tuned(middleware)),
        ours_by(floor, tuned(floor)),
        ours_by(documented(floor), documented(floor)),
        by_ours(jwt, tuned(jwt)),
        by_ours(documented(jwt), documented(jwt)),
    ]
