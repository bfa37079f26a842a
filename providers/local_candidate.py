"""Another version of the in-house model beside the one that serves, for a comparison: an experiment between `local` and `local_candidate`.

Setting: `GATEWAY_LOCAL_CANDIDATE_MODEL_URL`, an address as for `local`, mostly of another version on the same server:
`unix:var/model.sock/v2/models/NAME/versions/VERSION`; unset: the built-in detector in this process. It costs what
`GATEWAY_LOCAL_MODEL_USD_PER_HOUR` says.
"""

from collections.abc import Mapping

from providers.local import Local, build_local

URL = "GATEWAY_LOCAL_CANDIDATE_MODEL_URL"


def build(environ: Mapping[str, str]) -> Local:
    """The provider as the environment describes it. Nothing is loaded and nobody is asked yet.

    Raises:
        BadEnvironment: each variable that is wrong.
    """
    return build_local(environ, URL, "local_candidate")
