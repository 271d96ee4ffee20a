//! From a request to a handler's input type, and from its output to a reply.
//!
//! A handler is a plain function. What its parameters are made of (path, query, body) is said by their types, and the
//! endpoint that wraps the function (`Json`, `Created`, …) says what becomes of its result.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::answer::{Answer, Outcome, SchemaOf};
use super::reply::Reply;
use super::respond::Responder;
use super::upload::Upload;
use super::validate::{Shape, Source, missing};
use crate::error::{Error, Issue, Kind};

/// What an endpoint reads from a request.
#[derive(Debug, Default)]
pub struct Spec {
    pub(super) path: Option<Part>,
    pub(super) query: Option<Part>,
    pub(super) body: Option<(BodyKind, Part)>,
    /// Nothing at all is a query that asks for nothing.
    pub(super) may_lack_query: bool,
    /// Nothing at all is a body without any field.
    pub(super) may_lack_body: bool,
    pub(super) files: Option<FileField>,
    /// Whether the handler's types take values that were checked.
    #[cfg(any(test, fuzzing))]
    pub(super) takes: Option<Takes>,
}

/// Takes what a handler's types take, and lets go of it.
#[cfg(any(test, fuzzing))]
type Takes = fn(&mut Values) -> Result<(), Error>;

/// One part of a request: what it is checked against, and the schema that documents it.
#[derive(Debug)]
pub(super) struct Part {
    /// Made when there is something to check for the first time.
    pub(super) shape: LazyLock<Shape>,
    pub(super) schema: SchemaOf,
}

/// Which files a multipart form carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileField {
    /// One, in the field [`FILE_FIELD`].
    One,
    /// As many as a form may have, or none.
    Many,
    /// As many as a form may have, at least one, all in the field [`FILE_FIELD`].
    Some,
}

/// Where routes that must have a file find it.
pub(super) const FILE_FIELD: &str = "file";

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    Json,
    Form,
}

/// The parts of a request before they have types.
#[derive(Clone, Debug, Default)]
pub struct Values {
    pub(super) path: Map<String, Value>,
    pub(super) query: Map<String, Value>,
    pub(super) body: Option<Value>,
    pub(super) files: Vec<Upload>,
}

impl Values {
    /// Checks every part against its schema; all that is wrong comes back at once.
    pub(super) fn check(&mut self, spec: &Spec) -> Result<(), Error> {
        let mut issues = Vec::new();
        check_map(spec.path.as_ref(), &mut self.path, "path", &mut issues);
        let query = spec.query.as_ref();
        let query = query.filter(|_| !spec.may_lack_query || !self.query.is_empty());
        check_map(query, &mut self.query, "query", &mut issues);
        if spec.may_lack_body {
            self.body.get_or_insert_with(|| Value::Object(Map::new()));
        }
        if let Some((kind, Part { shape, .. })) = &spec.body {
            let mut at = vec!["body".into()];
            match (&mut self.body, kind) {
                (Some(body), BodyKind::Json) => shape.check(body, Source::Json, &mut at, &mut issues),
                (Some(body), BodyKind::Form) => shape.check(body, Source::Text, &mut at, &mut issues),
                (None, _) => issues.push(missing(&at, Value::Null)),
            }
        }
        if matches!(spec.files, Some(FileField::One | FileField::Some))
            && !self.files.iter().any(|upload| upload.field == FILE_FIELD)
        {
            issues.push(missing(&["body".into(), FILE_FIELD.into()], Value::Null));
        }
        if issues.is_empty() {
            Ok(())
        } else {
            Err(Error::invalid(issues))
        }
    }
}

fn check_map(part: Option<&Part>, map: &mut Map<String, Value>, name: &str, issues: &mut Vec<Issue>) {
    if let Some(part) = part {
        let mut value = Value::Object(std::mem::take(map));
        part.shape
            .check(&mut value, Source::Text, &mut vec![name.into()], issues);
        if let Value::Object(checked) = value {
            *map = checked;
        }
    }
}

/// Something that a handler takes, made from parts of the request.
pub trait Input: Sized {
    /// Adds what this reads to the endpoint's specification.
    fn describe(spec: &mut Spec);

    /// Takes it from checked values.
    ///
    /// # Errors
    /// [`crate::error::Kind::Internal`] when a type and its schema disagree.
    fn take(values: &mut Values) -> Result<Self, Error>;
}

/// Path parameters.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// Query parameters.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// Query parameters that may all be left out.
#[derive(Debug)]
pub struct MaybeQuery<T>(pub Option<T>);

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A JSON body that may be left out, as one without any field.
#[derive(Debug)]
pub struct MaybeBody<T>(pub T);

/// A form, urlencoded or multipart.
#[derive(Debug)]
pub struct Form<T>(pub T);

/// The one file of a multipart form, in its field `file`.
#[derive(Debug)]
pub struct FormFile(pub Upload);

/// The files of a multipart form, ten at most, in the order they came; none of a form that is not multipart.
#[derive(Debug)]
pub struct FormFiles(pub Vec<Upload>);

/// The files of a multipart form that has some, in its fields `file`, in the order they came.
#[derive(Debug)]
pub struct SomeFiles(pub Vec<Upload>);

fn shape<T: JsonSchema>() -> Shape {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    Shape::from_schema(schema.as_value())
}

/// Parameters: documented one by one.
fn parameters<T: JsonSchema>() -> Part {
    Part {
        shape: LazyLock::new(shape::<T>),
        schema: T::json_schema,
    }
}

/// A body: documented under its type's name.
fn body<T: JsonSchema>() -> Part {
    Part {
        shape: LazyLock::new(shape::<T>),
        schema: SchemaGenerator::subschema_for::<T>,
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::internal("an input type and its schema disagree", error))
}

/// Reads a body that was taken as it came, once it is known what it should be. Checked as if it had been so from the
/// beginning.
///
/// # Errors
/// [`Kind::Invalid`].
pub fn read_body<T: DeserializeOwned + JsonSchema>(mut body: Value) -> Result<T, Error> {
    let mut issues = Vec::new();
    shape::<T>().check(&mut body, Source::Json, &mut vec!["body".into()], &mut issues);
    if issues.is_empty() {
        typed(body)
    } else {
        Err(Error::invalid(issues))
    }
}

impl Input for () {
    fn describe(_: &mut Spec) {}

    fn take(_: &mut Values) -> Result<(), Error> {
        Ok(())
    }
}

impl<T: DeserializeOwned + JsonSchema> Input for Path<T> {
    fn describe(spec: &mut Spec) {
        spec.path = Some(parameters::<T>());
    }

    fn take(values: &mut Values) -> Result<Self, Error> {
        typed(Value::Object(std::mem::take(&mut values.path))).map(Path)
    }
}

impl<T: DeserializeOwned + JsonSchema> Input for Query<T> {
    fn describe(spec: &mut Spec) {
        spec.query = Some(parameters::<T>());
    }

    fn take(values: &mut Values) -> Result<Self, Error> {
        typed(Value::Object(std::mem::take(&mut values.query))).map(Query)
    }
}

impl<T: DeserializeOwned + JsonSchema> Input for MaybeQuery<T> {
    fn describe(spec: &mut Spec) {
        Query::<T>::describe(spec);
        spec.may_lack_query = true;
    }

    fn take(values: &mut Values) -> Result<Self, Error> {
        if values.query.is_empty() {
            return Ok(MaybeQuery(None));
        }
        Query::take(values).map(|Query(query)| MaybeQuery(Some(query)))
    }
}

impl<T: DeserializeOwned + JsonSchema> Input for Body<T> {
    fn describe(spec: &mut Spec) {
        spec.body = Some((BodyKind::Json, body::<T>()));
    }

    fn take(values: &mut Values) -> Result<Self, Error> {
        typed(values.body.take().unwrap_or_default()).map(Body)
    }
}

impl<T: DeserializeOwned + JsonSchema> Input for MaybeBody<T> {
    fn describe(spec: &mut Spec) {
        Body::<T>::describe(spec);
        spec.may_lack_body = true;
    }

    fn take(values: &mut Values) -> Result<Self, Error> {
        Body::take(values).map(|Body(body)| MaybeBody(body))
    }
}

impl<T: DeserializeOwned + JsonSchema> Input for Form<T> {
    fn describe(spec: &mut Spec) {
        spec.body = Some((BodyKind::Form, body::<T>()));
    }

    fn take(values: &mut Values) -> Result<Self, Error> {
        typed(values.body.take().unwrap_or_default()).map(Form)
    }
}

impl Input for FormFile {
    fn describe(spec: &mut Spec) {
        spec.files = Some(FileField::One);
    }

    fn take(values: &mut Values) -> Result<Self, Error> {
        let mut files = std::mem::take(&mut values.files).into_iter();
        let file = files.find(|upload| upload.field == FILE_FIELD);
        file.map(FormFile)
            .ok_or_else(|| Error::new(Kind::Internal, "a form without its file was let through"))
    }
}

impl Input for FormFiles {
    fn describe(spec: &mut Spec) {
        spec.files = Some(FileField::Many);
    }

    fn take(values: &mut Values) -> Result<Self, Error> {
        Ok(FormFiles(std::mem::take(&mut values.files)))
    }
}

impl Input for SomeFiles {
    fn describe(spec: &mut Spec) {
        spec.files = Some(FileField::Some);
    }

    fn take(values: &mut Values) -> Result<Self, Error> {
        let mut files = std::mem::take(&mut values.files);
        files.retain(|upload| upload.field == FILE_FIELD);
        Ok(SomeFiles(files))
    }
}

impl<A: Input, B: Input> Input for (A, B) {
    fn describe(spec: &mut Spec) {
        A::describe(spec);
        B::describe(spec);
    }

    fn take(values: &mut Values) -> Result<Self, Error> {
        Ok((A::take(values)?, B::take(values)?))
    }
}

/// What a route does. `C` is what handlers reach the application and the caller through.
pub trait Endpoint<C>: Sync {
    /// What it reads.
    fn spec(&self) -> Spec;

    /// What it answers when all is well.
    fn outcomes(&self) -> Vec<Outcome>;

    /// Answers a request whose parts were checked against `spec`.
    fn answer(&self, ctx: &C, values: Values, respond: Responder);

    /// What answers bodies that are forms, where that is somebody else.
    fn for_forms(&self) -> Option<&dyn Endpoint<C>> {
        None
    }
}

/// Two handlers at one address: the first for JSON (and for what says nothing of its type), the second for forms.
pub struct ByType<C: 'static>(pub &'static dyn Endpoint<C>, pub &'static dyn Endpoint<C>);

impl<C> Endpoint<C> for ByType<C> {
    fn spec(&self) -> Spec {
        self.0.spec()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        [self.0.outcomes(), self.1.outcomes()].concat()
    }

    fn answer(&self, ctx: &C, values: Values, respond: Responder) {
        self.0.answer(ctx, values, respond);
    }

    fn for_forms(&self) -> Option<&dyn Endpoint<C>> {
        Some(self.1)
    }
}

/// A handler whose output is sent as JSON with status 200.
pub struct Json<C, I, O>(pub fn(&C, I) -> Result<O, Error>);

/// A handler whose output is sent as JSON with status 201.
pub struct Created<C, I, O>(pub fn(&C, I) -> Result<O, Error>);

/// A handler that says nothing: status 204.
pub struct NoContent<C, I>(pub fn(&C, I) -> Result<(), Error>);

/// A handler that makes its whole reply. Its output's type says which: `Typed`, `Html`, `File`, …
pub struct Raw<C, I, O>(pub fn(&C, I) -> Result<O, Error>);

/// A handler that answers later, from another thread: through a `Later`, whose type says what.
pub struct Deferred<C, I, R>(pub fn(&C, I, R));

fn spec<I: Input>() -> Spec {
    let mut spec = Spec::default();
    I::describe(&mut spec);
    #[cfg(any(test, fuzzing))]
    {
        spec.takes = Some(|values| I::take(values).map(drop));
    }
    spec
}

impl<C, I: Input, O: Serialize + JsonSchema> Endpoint<C> for Json<C, I, O> {
    fn spec(&self) -> Spec {
        spec::<I>()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        vec![Outcome::json::<O>(200)]
    }

    fn answer(&self, ctx: &C, mut values: Values, respond: Responder) {
        let output = I::take(&mut values).and_then(|input| self.0(ctx, input));
        respond.send_result(output.and_then(|output| Reply::json(200, &output)));
    }
}

impl<C, I: Input, O: Serialize + JsonSchema> Endpoint<C> for Created<C, I, O> {
    fn spec(&self) -> Spec {
        spec::<I>()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        vec![Outcome::json::<O>(201)]
    }

    fn answer(&self, ctx: &C, mut values: Values, respond: Responder) {
        let output = I::take(&mut values).and_then(|input| self.0(ctx, input));
        respond.send_result(output.and_then(|output| Reply::json(201, &output)));
    }
}

impl<C, I: Input> Endpoint<C> for NoContent<C, I> {
    fn spec(&self) -> Spec {
        spec::<I>()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        vec![Outcome::empty(204)]
    }

    fn answer(&self, ctx: &C, mut values: Values, respond: Responder) {
        let output = I::take(&mut values).and_then(|input| self.0(ctx, input));
        respond.send_result(output.map(|()| Reply::empty(204)));
    }
}

impl<C, I: Input, O: Answer + Into<Reply>> Endpoint<C> for Raw<C, I, O> {
    fn spec(&self) -> Spec {
        spec::<I>()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        O::outcomes()
    }

    fn answer(&self, ctx: &C, mut values: Values, respond: Responder) {
        let output = I::take(&mut values).and_then(|input| self.0(ctx, input));
        respond.send_result(output.map(Into::into));
    }
}

impl<C, I: Input, R: Answer + From<Responder>> Endpoint<C> for Deferred<C, I, R> {
    fn spec(&self) -> Spec {
        spec::<I>()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        R::outcomes()
    }

    fn answer(&self, ctx: &C, mut values: Values, respond: Responder) {
        match I::take(&mut values) {
            Ok(input) => self.0(ctx, input, respond.into()),
            Err(error) => respond.send_result(Err(error)),
        }
    }
}
