"""The names under which things are told: attributes of spans, fields of logs, labels of metrics.

Spans follow OpenTelemetry's semantic conventions, for generative AI where there are any; what is
ours begins with `perennial.`. Texts of users, models and tools have no name here, since they are
told nowhere. Used by agent.telemetry alone.
"""

# OpenTelemetry: generative AI.
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
AGENT = "gen_ai.agent.name"
CONVERSATION = "gen_ai.conversation.id"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_STREAM = "gen_ai.request.stream"
OUTPUT_TYPE = "gen_ai.output.type"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL = "gen_ai.tool.call.id"
TOOL_TYPE = "gen_ai.tool.type"

# OpenTelemetry: everything else.
ERROR_TYPE = "error.type"
HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
URL_PATH = "url.path"
SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"

# Ours.
RUN = "perennial.run.id"
STEPS = "perennial.run.steps"
OUTCOME = "perennial.run.outcome"
VERSION = "perennial.version"
CYCLE = "perennial.cycle.number"
CYCLE_STATE = "perennial.cycle.state"
STAGE = "perennial.cycle.stage"

# Values of OPERATION, and the names of spans that begin with them.
INVOKE_AGENT, CHAT, EXECUTE_TOOL = "invoke_agent", "chat", "execute_tool"
OUR_AGENT, VLLM = "perennial", "vllm"

# Fields of log lines.
LOG_RUN, LOG_THREAD, LOG_VERSION = "run", "thread", "version"
LOG_CYCLE, LOG_STAGE = "cycle", "stage"
LOG_TRACE, LOG_SPAN = "trace_id", "span_id"

# Labels of metrics. An engine's own series keep their labels and get ENGINE besides; vLLM has
# labels of its own called `engine` and `model_name`.
ENGINE = "perennial_engine"
