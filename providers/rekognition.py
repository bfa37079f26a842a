"""Amazon Rekognition Image: DetectLabels, DetectFaces, DetectText, DetectModerationLabels.

Source: https://docs.aws.amazon.com/rekognition/latest/APIReference/Welcome.html
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from providers.bulkhead import Attempt, Bulkhead
from providers.contract import Answer, BadEnvironment, Call, Feature, Health, Usage
from providers.errors import (
    ImageRefused,
    ProviderError,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderProtocolError,
    ProviderThrottled,
)
from providers.images import Image, ImageError
from providers.once import Once
from providers.rekognition_answers import parse
from providers.renewal import Renewal

NAME = "rekognition"
_API = "Rekognition 2016-06-27"

# https://docs.aws.amazon.com/rekognition/latest/dg/limits.html
FORMATS = frozenset({"jpeg", "png"})
CONTENT_BYTES_MAX = 5 * 1024 * 1024
REFERENCED_BYTES_MAX = 15 * 1024 * 1024
SIDE_MIN = 80
SIDE_MAX = 10_000

CALLS_MAX = 50
"""At once in one process: the most that a region takes in a second (https://docs.aws.amazon.com/general/latest/gr/rekognition.html)."""

ANSWER_BYTES_MAX = 8 * 1024 * 1024
"""1,000 labels with all their boxes, aliases and ancestors are well below 1 MiB."""

_OPERATION: dict[Feature, str] = {
    "objects": "DetectLabels",
    "labels": "DetectLabels",
    "faces": "DetectFaces",
    "text": "DetectText",
    "moderation": "DetectModerationLabels",
}
# What is asked for costs nothing more; a cached answer must serve every threshold, and the defaults are 55 and 50.
_PARAMETERS: dict[str, dict[str, Any]] = {
    "DetectLabels": {"MinConfidence": 0.0, "MaxLabels": 1_000},
    "DetectFaces": {"Attributes": ["ALL"]},
    "DetectText": {},
    "DetectModerationLabels": {"MinConfidence": 0.0},
}

# https://docs.aws.amazon.com/rekognition/latest/dg/error-handling.html and
# https://docs.aws.amazon.com/rekognition/latest/APIReference/CommonErrors.html.
# By code, whatever the status: throttling comes as 400 and as 500.
ERRORS: Mapping[str, type[ProviderError]] = MappingProxyType(
    {
        "ThrottlingException": ProviderThrottled,
        "Throttling": ProviderThrottled,
        "ProvisionedThroughputExceededException": ProviderThrottled,
        "TooManyRequestsException": ProviderThrottled,
        "RequestLimitExceeded": ProviderThrottled,
        "429": ProviderThrottled,
        "ImageTooLargeException": ImageRefused,
        "InvalidImageFormatException": ImageRefused,
        "InvalidParameterException": ImageRefused,
        "InvalidS3ObjectException": ImageRefused,
        "ValidationException": ImageRefused,  # what more than 5 MiB of bytes really gets
        "413": ImageRefused,
        "AccessDeniedException": ProviderMisconfigured,
        "AccessDenied": ProviderMisconfigured,
        "ExpiredTokenException": ProviderMisconfigured,
        "ExpiredToken": ProviderMisconfigured,
        "IncompleteSignature": ProviderMisconfigured,
        "IncompleteSignatureException": ProviderMisconfigured,
        "InvalidClientTokenId": ProviderMisconfigured,
        "InvalidSignatureException": ProviderMisconfigured,
        "MissingAuthenticationToken": ProviderMisconfigured,
        "MissingAuthenticationTokenException": ProviderMisconfigured,
        "NotAuthorized": ProviderMisconfigured,
        "OptInRequired": ProviderMisconfigured,
        "RequestExpired": ProviderMisconfigured,
        "RequestTimeTooSkewed": ProviderMisconfigured,
        "SignatureDoesNotMatch": ProviderMisconfigured,
        "SubscriptionRequiredException": ProviderMisconfigured,
        "UnknownOperationException": ProviderMisconfigured,
        "UnrecognizedClientException": ProviderMisconfigured,
        "401": ProviderMisconfigured,
        "403": ProviderMisconfigured,
        # Limits and resources of the account, not a rate: AWS says not to repeat the request.
        "LimitExceededException": ProviderMisconfigured,
        "HumanLoopQuotaExceededException": ProviderMisconfigured,
        "ResourceNotFoundException": ProviderMisconfigured,
        "ResourceNotReadyException": ProviderMisconfigured,
        "InternalServerError": ProviderFailed,
    }
)


_CREDENTIALS_REFUSED = frozenset(
    {
        "ExpiredTokenException",
        "ExpiredToken",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class Rekognition:
    """One account and region. Its client is made on the first call: after fork, once a process, shared by its threads."""

    name = NAME
    features: frozenset[Feature] = frozenset(_OPERATION)
    model = _API
    """The API's version. The models' own versions come with each answer, too late to look an answer up by them."""

    def __init__(self, client_options: Mapping[str, Any], session_options: Mapping[str, Any]) -> None:
        """Take what `boto3.Session` and its `client` take; of the client's, only region and endpoint."""
        self.region = str(client_options["region_name"])
        self._client_options = client_options
        self._session_options = session_options
        self._calls = Bulkhead(NAME, CALLS_MAX)
        self._unreadable: set[str] = set()  # buckets: of those that an operator allows
        self._renewal = Renewal(lambda: Rekognition._client.forget(self))

    def calls(self, features: frozenset[Feature]) -> tuple[Call, ...]:
        """One call an operation. Objects and labels come from one, billed once."""
        by_operation: dict[str, set[Feature]] = {}
        for feature in sorted(features):
            by_operation.setdefault(_OPERATION[feature], set()).add(feature)
        return tuple(Call(frozenset(asked), (Usage(operation, 1),)) for operation, asked in by_operation.items())

    def refusal(self, image: Image, features: frozenset[Feature]) -> str | None:  # noqa: ARG002 -- the limits are the same for all
        """Rekognition sees no picture with a side below 80 pixels, also when the longer side must shrink to what it takes."""
        scale = min(1.0, SIDE_MAX / max(image.width, image.height))
        if min(image.width, image.height) * scale < SIDE_MIN:
            return f"Rekognition takes no picture with a side below {SIDE_MIN} pixels; this one is {image.width} x {image.height}."
        return None

    def detect(self, image: Image, call: Call, timeout_s: float) -> Answer:
        """See `Provider.detect`. The time limit holds over preparing, connecting, signing, sending and an answer that dribbles."""
        return self._calls.run(lambda attempt: self._detect(image, call, attempt), timeout_s)

    def _detect(self, image: Image, call: Call, attempt: Attempt) -> Answer:
        (usage,) = call.usage
        picture = self._picture(image)
        answer = self._call(usage.sku, picture, attempt)
        try:
            return parse(usage.sku, answer, call.features)
        except ProviderProtocolError as error:
            error.provider_request_id = _request_id(answer)
            raise

    def _picture(self, image: Image) -> dict[str, Any]:
        """By reference where Rekognition reads the same upright picture by it, else the picture itself."""
        bucket, key, version = _s3_object(image.reference)
        as_it_lies = image.format in FORMATS and image.orientation == 1 and image.plain
        small = len(image.content) <= REFERENCED_BYTES_MAX and max(image.width, image.height) <= SIDE_MAX
        if bucket and bucket not in self._unreadable and as_it_lies and small:
            return {"S3Object": {"Bucket": bucket, "Name": key} | ({"Version": version} if version else {})}
        try:
            return {"Bytes": image.encoded(FORMATS, CONTENT_BYTES_MAX, SIDE_MAX)}
        except ImageError as error:
            raise ImageRefused(str(error)) from error

    def _call(self, operation: str, picture: dict[str, Any], attempt: Attempt) -> Mapping[str, object]:
        from botocore import xform_name  # noqa: PLC0415 -- slow to import; not every gateway asks AWS
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            answer: Mapping[str, object] = getattr(self._client, xform_name(operation))(Image=picture, **_PARAMETERS[operation])
        except ClientError as error:
            raise self._refused(error, picture) from error
        except BotoCoreError as error:  # no credentials, no region, ...: it does not send, our transport does
            self._renewal.refused()
            raise ProviderMisconfigured(str(error)) from error
        except ProviderError:
            raise
        except Exception as error:
            if attempt.sent:  # botocore's parser raises whatever comes
                raise ProviderProtocolError(f"The answer can't be read: {type(error).__name__}: {error}") from error
            raise
        return answer

    def _refused(self, error: Any, picture: dict[str, Any]) -> ProviderError:
        refused = translated(error)
        code = error.response["Error"]["Code"]
        if code in _CREDENTIALS_REFUSED:
            self._renewal.refused()
        if code == "InvalidS3ObjectException" and "S3Object" in picture:
            self._unreadable.add(picture["S3Object"]["Bucket"])
            refused.retryable = True  # Rekognition may not read the bucket, or not from its region: the next call carries the picture
        return refused

    @Once
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- slow to import; not every gateway asks AWS
        from botocore.config import Config  # noqa: PLC0415

        from providers.transport import connection_pools, send_by  # noqa: PLC0415

        session = boto3.Session(**self._session_options)
        retries = {"mode": "standard", "total_max_attempts": 1}
        client = session.client(NAME, config=Config(retries=retries, parameter_validation=False), **self._client_options)
        ca_bundle = session._session.get_config_variable("ca_bundle")  # noqa: SLF001
        pools = connection_pools(client.meta.endpoint_url, CALLS_MAX, ca_bundle)
        client.meta.events.register_last(f"before-send.{NAME}", send_by(pools, ANSWER_BYTES_MAX))
        return client

    def warm(self) -> None:
        """See `Provider.warm`. Without it the first call would make the client within its own time limit."""
        self._calls.start(lambda: self._client)

    def health(self) -> Health:
        """Ready: whether the credentials are good is only known by asking."""
        return Health(ready=True)

    def close(self) -> None:
        """See `Provider.close`."""
        self._calls.close()


def translated(error: Any) -> ProviderError:
    """A `botocore.exceptions.ClientError` in the gateway's language."""
    said = error.response.get("Error", {})
    code = str(said.get("Code", ""))
    metadata = error.response.get("ResponseMetadata", {})
    error_class = ERRORS.get(code) or ERRORS.get(str(metadata.get("HTTPStatusCode"))) or ProviderFailed
    return error_class(
        f"{code}: {said.get('Message', '')}"[:500],
        retry_after_s=_retry_after_s(metadata.get("HTTPHeaders", {})),
        provider_request_id=_request_id(error.response),
    )


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html (milliseconds); RFC 9110, 10.2.3 (seconds)."""
    for name, unit_s in (("x-amz-retry-after", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if value.isdecimal():
            return int(value) * unit_s
    return None


def _request_id(answer: Mapping[str, Any]) -> str | None:
    metadata = answer.get("ResponseMetadata", {})
    request_id = metadata.get("RequestId") or metadata.get("HTTPHeaders", {}).get("x-amzn-requestid")
    return str(request_id) if request_id else None


def _s3_object(reference: str | None) -> tuple[str, str, str]:
    """(bucket, key, version), each empty where there is none."""
    if reference is None or not reference.startswith("s3://"):
        return "", "", ""
    name, _, version = reference.removeprefix("s3://").partition("?versionId=")
    bucket, _, key = name.partition("/")
    return bucket, key, version


def build(environ: Mapping[str, str]) -> Rekognition:
    """Rekognition as the environment describes it.

    `AWS_REGION` (or `AWS_DEFAULT_REGION`), `AWS_ENDPOINT_URL_REKOGNITION` (or `AWS_ENDPOINT_URL`), `AWS_PROFILE` and keys are taken from
    `environ`; the rest of the credential chain (files, container and instance roles) is found by botocore, in the process's environment.

    Raises:
        BadEnvironment: no or bad region, bad endpoint, half a key, unknown profile, unknown GATEWAY_REKOGNITION_ names.
    """
    import boto3  # noqa: PLC0415 -- slow to import; not every gateway asks AWS
    import botocore.exceptions  # noqa: PLC0415
    import botocore.utils  # noqa: PLC0415

    problems = [f"{name}: no such setting." for name in sorted(environ) if name.startswith("GATEWAY_REKOGNITION_")]
    endpoint = environ.get("AWS_ENDPOINT_URL_REKOGNITION") or environ.get("AWS_ENDPOINT_URL")
    if endpoint and (urlsplit(endpoint).scheme not in {"http", "https"} or not urlsplit(endpoint).hostname):
        problems.append(f"AWS_ENDPOINT_URL_REKOGNITION: {endpoint!r} is not an http or https address.")
    keys = {
        name: environ[name.upper()]
        for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        if environ.get(name.upper())
    }
    if len(keys.keys() & {"aws_access_key_id", "aws_secret_access_key"}) == 1:
        problems.append("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: set both or neither.")
    session_options: dict[str, Any] = {**keys, "profile_name": environ.get("AWS_PROFILE") or None}
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    try:
        region = region or boto3.Session(profile_name=session_options["profile_name"]).region_name
        if region:
            botocore.utils.validate_region_name(region)
        else:
            problems.append("AWS_REGION: Rekognition needs a region, such as us-east-1.")
    except botocore.exceptions.ProfileNotFound as error:
        problems.append(f"AWS_PROFILE: {error}")
    except botocore.exceptions.InvalidRegionError as error:
        problems.append(f"AWS_REGION: {error}")
    if problems:
        raise BadEnvironment(*problems)
    return Rekognition({"region_name": region, "endpoint_url": endpoint}, session_options)
