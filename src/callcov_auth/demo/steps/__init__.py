"""The steps of ``callcov-auth demo --check`` in the order in which they are held, by topic.

A step is a function that sends and holds; its name is what it says.
"""

from collections.abc import Mapping, Sequence

from callcov_auth.demo.conversation import Step
from callcov_auth.demo.steps import bodies, credentials, endings, https, keys, public, tokens, websockets

TOPICS: Mapping[str, Sequence[Step]] = {
    "Public paths": public.STEPS,
    "Login and tokens": tokens.STEPS,
    "The Authorization header": credentials.STEPS,
    "API keys": keys.STEPS,
    "Bodies": bodies.STEPS,
    "WebSockets": websockets.STEPS,
    "HTTPS only": https.STEPS,
    "Revocation, rotation, expiry": endings.STEPS,
}
