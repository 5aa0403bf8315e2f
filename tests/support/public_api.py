"""``python -m tests.support.public_api`` writes what other programs may use into tests/public_api.txt."""

from collections.abc import Iterator

import griffe

from tests.support.markdown import ROOT

SNAPSHOT = ROOT / "tests" / "public_api.txt"
# Modules whose names are public: those in __all__, or else all that have no underscore.
DOORS = ("", "client", "django", "errors", "fastapi", "frameworks", "testing")
# What the names of the doors give and take: records, and what a store must do.
RECORDS = ("keys.service.NewKey", "tokens.issuer.TokenPair", "store.protocol")
# Of these, which Auth makes, the methods alone.
SERVICES = ("keys.service.KeyService", "tokens.issuer.TokenService", "users.service.UserService")

Found = griffe.Object | griffe.Alias


def current() -> str:
    """Return a line for each public name, with its signature or its type, as the source has them."""
    package = griffe.load("callcov_auth", search_paths=[ROOT / "src"])
    doors = [package[door] if door else package for door in DOORS]
    lines = {line for place in (*doors, *map(package.__getitem__, RECORDS)) for line in _place(place)}
    methods = {line for place in SERVICES for line in _place(package[place]) if "def " in line}
    lines |= {line for line in methods if "__init__" not in line}
    return "".join(f"{line}\n" for line in sorted(lines))


def _place(place: Found) -> Iterator[str]:
    return _module(place) if place.is_module else _told(place.path, place)


def _module(module: Found) -> Iterator[str]:
    for name, member in module.members.items():
        if _is_public(name, member, module.exports):
            yield from _told(f"{module.path}.{name}", member)


def _is_public(name: str, member: Found, exports: object) -> bool:
    if isinstance(exports, list):
        return name in exports
    return not name.startswith("_") and not member.is_alias and not member.is_module


def _told(path: str, found: Found) -> Iterator[str]:
    target = found.final_target if isinstance(found, griffe.Alias) else found
    if isinstance(target, griffe.Class):
        yield f"class {path}({', '.join(str(base) for base in target.bases)})"
        for name, member in _members(target):
            yield from _told(f"{path}.{name}", member)
    elif isinstance(target, griffe.Function):
        kind = "async def" if "async" in target.labels else "def"
        yield f"{kind} {path}({_parameters(target)}) -> {target.returns}"
    elif isinstance(target, griffe.Attribute):
        yield path + _type(target)


def _members(found: griffe.Class) -> Iterator[tuple[str, Found]]:
    """A class's own public members; what a base or ``__init__`` tells is not told again."""
    init = found.members.get("__init__")
    given = {parameter.name for parameter in init.parameters} if isinstance(init, griffe.Function) else set()
    for name, member in found.members.items():
        inherited = any(name in base.members for base in found.resolved_bases)
        again = inherited or ("dataclass" in found.labels and name in given)
        if name == "__init__" or not (name.startswith("_") or (member.is_attribute and again)):
            yield name, member


def _type(attribute: griffe.Attribute) -> str:
    if attribute.annotation is None:
        return ""
    in_class = attribute.parent is not None and attribute.parent.is_class
    has_default = in_class and attribute.value is not None
    return f": {attribute.annotation}" + (" = ..." if has_default else "")


def _parameters(function: griffe.Function) -> str:
    told, past_star = [], False
    for parameter in function.parameters:
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(parameter.kind.value, "")
        if parameter.kind is griffe.ParameterKind.keyword_only and not past_star:
            told.append("*")
        past_star = past_star or star == "*" or parameter.kind is griffe.ParameterKind.keyword_only
        type_ = f": {parameter.annotation}" if parameter.annotation else ""
        default = f" = {parameter.default}" if parameter.default and not star else ""
        told.append(f"{star}{parameter.name}{type_}{default}")
    return ", ".join(told)


if __name__ == "__main__":
    SNAPSHOT.write_text(current(), "utf-8")
