//! OpenAI's door: `/v1/models`, `/v1/chat/completions`, `/v1/embeddings`. What comes here is passed on to the model that
//! it names and not kept, unless its sender asks for that with `X-Conversation-Id`.
//!
//! <https://platform.openai.com/docs/api-reference/chat>

mod errors;
mod kept;
mod outlet;
mod question;
mod watch;
mod wire;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::errors::Problem;
use self::outlet::{Outlet, Way};
use self::question::ChatRequest;
use self::watch::Watch;
use self::wire::{ChatCompletion, Head};
use super::{Ctx, parse_id, session};
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Deferred, Either, EventStream, Json, Later, Path, Raw, Route, Typed, get, post};
use crate::models::{Choice, Prompt, Stop};
use crate::store;
use crate::turn::{Admission, Ask, Target};

pub(super) use self::errors::{is_ours, say, say_unknown};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get("/v1/models", Auth::User, "List the models there are", &Json(list)),
    get("/v1/models/{model_id...}", Auth::User, "Get a model", &Raw(read)),
    post(
        "/v1/chat/completions",
        Auth::User,
        "Have a conversation continued, at once or as a stream",
        &Deferred(chat),
    )
    .takes(BODY_BYTES_MAX)
    .fails(FAILS),
    post(
        "/v1/embeddings",
        Auth::User,
        "Turn texts into vectors",
        &Deferred(embed),
    )
    .fails(FAILS),
];

/// Bytes of a request with pictures: what fits into a prompt, and OpenAI's clients send of their own accord.
const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The header field that asks for an exchange to be kept (`new`, or a conversation's id), and says where it was.
const CONVERSATION: &str = "X-Conversation-Id";

/// How asking a model fails.
const FAILS: &[Kind] = &[
    Kind::Malformed,
    Kind::NotFound,
    Kind::Conflict,
    Kind::OverBudget,
    Kind::RateLimited,
    Kind::Upstream,
    Kind::UpstreamTimeout,
];

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OpenAiModel")]
struct ModelView {
    id: String,
    object: &'static str,
    /// Unknown: 0.
    created: u64,
    owned_by: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OpenAiModels")]
struct ModelList {
    object: &'static str,
    data: Vec<ModelView>,
}

fn view(ctx: &Ctx, id: String) -> Option<ModelView> {
    let choice = ctx.app.models.resolve(Some(&id)).ok()?;
    Some(ModelView {
        owned_by: choice.provider.name().to_owned(),
        id,
        object: "model",
        created: 0,
    })
}

fn list(ctx: &Ctx, (): ()) -> Result<ModelList, Error> {
    let ids = ctx.app.models.available().into_iter();
    Ok(ModelList {
        object: "list",
        data: ids.filter_map(|id| view(ctx, id)).collect(),
    })
}

#[derive(Deserialize, JsonSchema)]
struct ModelPath {
    model_id: String,
}

fn read(ctx: &Ctx, Path(path): Path<ModelPath>) -> Result<Typed<ModelView>, Error> {
    match view(ctx, path.model_id.clone()) {
        Some(model) => Typed::json(&model),
        None => Ok(Typed::made(errors::no_model(&path.model_id)?)),
    }
}

/// A whole reply, or a stream.
type Answer = Later<Either<Typed<ChatCompletion>, EventStream>>;

fn chat(ctx: &Ctx, Body(body): Body<ChatRequest>, respond: Answer) {
    let form = body.form();
    // Ends what is passed on; nothing listens to that of what is kept, which goes on.
    let stop = Stop::new();
    let prepared = prepare(ctx, body).and_then(|prepared| Ok((prepared, Watch::begin(ctx, stop.clone())?)));
    match prepared {
        Ok((prepared, watch)) => {
            let way = Way {
                respond,
                stop: stop.clone(),
                watch,
            };
            let is_kept = prepared.is_kept;
            if !is_kept {
                let stopping = stop.clone();
                way.respond.on_gone(move || stopping.stop());
            }
            let outlet = Outlet::new(way, form, head(ctx, prepared.model));
            if is_kept {
                let (listener, answer) = kept::ends(outlet);
                return ctx.app.turns.stream(prepared.ask, listener, answer);
            }
            ctx.app.turns.pass(prepared.ask, stop, Box::new(outlet));
        }
        Err(problem) => respond.send(problem.answer().map(|reply| Either::This(Typed::made(reply)))),
    }
}

/// What the answers to one request begin with.
fn head(ctx: &Ctx, model: String) -> Head {
    Head {
        id: format!("chatcmpl-{}", ctx.app.clock.uuid().replace('-', "")),
        object: "chat.completion",
        created: ctx.app.clock.now().seconds(),
        model,
    }
}

/// A message that may be sent.
struct Prepared {
    ask: Ask,
    /// The model's name, as its replies give it.
    model: String,
    is_kept: bool,
}

fn prepare(ctx: &Ctx, body: ChatRequest) -> Result<Prepared, Problem> {
    let choice = choose(ctx, body.model.as_deref())?;
    let model = named(&choice, body.model.as_deref());
    let prompt = body.into_prompt()?;
    let to = target(ctx)?;
    if to.is_some() {
        question::require_question(&prompt)?;
    }
    let admission = ctx.admit_message()?;
    let mut ask = ask(ctx, choice, admission, Some(prompt))?;
    let is_kept = to.is_some();
    ask.to = to.unwrap_or(Target::New);
    Ok(Prepared { ask, model, is_kept })
}

/// The conversation that the exchange is kept in, if it is.
fn target(ctx: &Ctx) -> Result<Option<Target>, Error> {
    let Some(name) = ctx.request.header(CONVERSATION).map(str::trim) else {
        return Ok(None);
    };
    if name.eq_ignore_ascii_case("new") {
        return Ok(Some(Target::New));
    }
    let missing = || Error::new(Kind::NotFound, "Conversation not found");
    let (owner, id) = (ctx.user()?.id, parse_id(name).ok_or_else(missing)?);
    let found = ctx.app.store.read(|read| store::find_conversation(read, owner, &id));
    found
        .map(|conversation| Some(Target::from(conversation)))
        .map_err(|error| match error.kind() {
            Kind::NotFound => missing(),
            _ => error,
        })
}

fn choose(ctx: &Ctx, requested: Option<&str>) -> Result<Choice, Problem> {
    let found = ctx.app.models.resolve(requested);
    found.map_err(|_| Problem::Model(errors::unknown_model(requested.unwrap_or(""))))
}

/// What a model is called in replies: its id, which is only known afterwards where a server's own default answers.
fn named(choice: &Choice, requested: Option<&str>) -> String {
    match (choice.model.as_str(), requested) {
        ("", requested) => requested.unwrap_or("default").to_owned(),
        (model, _) => model.to_owned(),
    }
}

fn ask(ctx: &Ctx, choice: Choice, admission: Admission, prompt: Option<Prompt>) -> Result<Ask, Error> {
    let text = prompt.as_ref().and_then(question::last_words).unwrap_or_default();
    Ok(Ask {
        user: ctx.user()?.clone(),
        to: Target::New,
        text,
        attachments: Vec::new(),
        choice,
        library: None,
        admission,
        prompt,
        details: store::MessageDetails::default(),
        queue: false,
    })
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "EmbeddingsRequest")]
struct EmbedRequest {
    model: String,
    /// A text, or a list of texts (or of tokens).
    #[schemars(extend("examples" = ["a text"]))]
    input: Value,
    /// Whatever else the model's server understands.
    #[serde(flatten)]
    options: Map<String, Value>,
}

/// As the model's server says it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Embeddings")]
struct Embeddings {
    #[serde(flatten)]
    body: Map<String, Value>,
}

fn embed(ctx: &Ctx, Body(body): Body<EmbedRequest>, respond: Later<Typed<Embeddings>>) {
    let stop = Stop::new();
    let prepared = choose(ctx, Some(&body.model)).and_then(|choice| {
        let admission = ctx.admit_message()?;
        Ok((ask(ctx, choice, admission, None)?, Watch::begin(ctx, stop.clone())?))
    });
    let (ask, watch) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => return respond.send(problem.answer().map(Typed::made)),
    };
    let mut question = body.options;
    question.insert("model".to_owned(), ask.choice.model.clone().into());
    question.insert("input".to_owned(), body.input);
    let stopping = stop.clone();
    respond.on_gone(move || stopping.stop());
    ctx.app.turns.embed(
        ask,
        question,
        stop,
        Box::new(move |outcome| {
            respond.send(match outcome {
                _ if watch.is_over() => Err(session::refused()),
                Ok(Value::Object(body)) => Typed::json(&Embeddings { body }),
                Ok(_) => Err(Error::new(
                    Kind::Upstream,
                    "The model's server did not answer with an object",
                )),
                Err(fault) => errors::problem(fault).answer().map(Typed::made),
            });
        }),
    );
}
