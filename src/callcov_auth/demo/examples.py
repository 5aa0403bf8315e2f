"""The examples of CallCov's documentation as a shell script: what ``callcov-auth demo`` prints.

All prose in it is in comments, so the whole may be pasted; and the comments hold no quotes and no
parentheses, for an interactive zsh reads comments as commands unless it is told otherwise.
"""

from callcov_auth.demo.settings import EMAIL, PASSWORD, SCOPES

DOCUMENTED = "https://api.callcov.com"

_SCRIPT = r"""# CallCov demo on https://api.callcov.com, with its documentation on https://api.callcov.com/docs
# User EMAIL, password PASSWORD, scopes SCOPES
# The database is a throw-away file and is removed at the end
# HTTPS is not required: require_https is off, for use on this machine alone
# Paste what follows into another shell, in this order

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# Log in
LOGIN=$(curl -sS -X POST https://api.callcov.com/api/v1/auth/login \
  -H "Content-Type: application/json" \
  -d '{
    "email": "EMAIL",
    "password": "PASSWORD"
  }')
printf '%s\n' "$LOGIN"
TOKEN=$(printf '%s' "$LOGIN" | field access_token)
REFRESH_TOKEN=$(printf '%s' "$LOGIN" | field refresh_token)

# Use the token
curl -sS -w '\n' -X GET https://api.callcov.com/api/v1/users/me \
  -H "Authorization: Bearer $TOKEN"

# Refresh it
REFRESHED=$(curl -sS -X POST https://api.callcov.com/api/v1/auth/refresh \
  -H "Content-Type: application/json" \
  -d "{
    \"refresh_token\": \"$REFRESH_TOKEN\"
  }")
printf '%s\n' "$REFRESHED"
TOKEN=$(printf '%s' "$REFRESHED" | field access_token)

# Create an API key
CREATED=$(curl -sS -X POST https://api.callcov.com/api/v1/api-keys/ \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Production Server Key"
  }')
printf '%s\n' "$CREATED"
export CALLCOV_API_KEY=$(printf '%s' "$CREATED" | field api_key)
KEY_ID=$(printf '%s' "$CREATED" | field id)

# Use the API key
curl -sS -w '\n' -X GET https://api.callcov.com/api/v1/analysis/ \
  -H "Authorization: Bearer $CALLCOV_API_KEY"

# Revoke it
curl -sS -w '\n' -X DELETE https://api.callcov.com/api/v1/api-keys/$KEY_ID \
  -H "Authorization: Bearer $TOKEN"

# It opens nothing any more
curl -sS -w '\n' -X GET https://api.callcov.com/api/v1/analysis/ \
  -H "Authorization: Bearer $CALLCOV_API_KEY"

# Ctrl-C here ends the demo
"""


def examples(base_url: str) -> str:
    """Return the script for the demo at ``base_url``."""
    script = _SCRIPT.replace(DOCUMENTED, base_url).replace("SCOPES", " and ".join(SCOPES))
    return script.replace("EMAIL", EMAIL).replace("PASSWORD", PASSWORD)
