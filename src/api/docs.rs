//! The API about itself: the OpenAPI document, Swagger UI to try it, and a page to read it.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::ui::{self, Asset};
use super::{Ctx, TABLES, swagger};
use crate::error::{Error, Kind};
use crate::http::openapi::{self, Info};
use crate::http::{Auth, Either, File, Html, Path, Raw, Route, Typed, Unchanged, get};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/openapi.json",
        Auth::Public,
        "This document: OpenAPI 3.1",
        &Raw(document),
    ),
    get("/docs", Auth::Public, "Try the API (Swagger UI)", &Raw(try_it)),
    get("/docs/{file}", Auth::Public, "Swagger UI's files", &Raw(file)),
    get("/redoc", Auth::Public, "Read the API's reference", &Raw(read_it)),
];

const INFO: Info = Info {
    title: "Fireside",
    version: env!("CARGO_PKG_VERSION"),
    description: "A chat server for AI models in one file, with its own API and those of existing chat backends.\n\n\
        Get a token with *Authorize* (e-mail address or user name, and password) and send it as `Authorization: Bearer \
        …`. Every path is served with and without a slash at its end; errors are `{\"detail\": …}`; times are RFC 3339 in \
        UTC; ids may be given as integers or as UUIDs, whichever the route emits.",
    token_url: "/auth/token",
};

/// Our own files and replies, nothing from elsewhere and no script in the page. Swagger UI draws its icons from `data:`
/// addresses in its style sheet.
const TRY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The same for our own page, which makes elements, never markup.
const READ_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

/// Made at the first request: it takes longer than everything else a start does.
static DOCUMENT: OnceLock<Asset> = OnceLock::new();

/// The document, as text.
pub(super) fn text() -> String {
    format!("{:#}\n", openapi::document(&INFO, TABLES))
}

fn document(ctx: &Ctx, (): ()) -> Result<Either<Typed<Map<String, Value>>, Unchanged>, Error> {
    let document = DOCUMENT.get_or_init(|| Asset::new(openapi::document(&INFO, TABLES).to_string().into_bytes()));
    let reply = document.reply(&ctx.request, "application/json", "no-cache");
    Ok(Either::This(Typed::made(reply)))
}

fn try_it(ctx: &Ctx, (): ()) -> Result<Html, Error> {
    ui::documentation(ctx, "docs.html", TRY_POLICY)
}

#[derive(Deserialize, JsonSchema)]
struct FilePath {
    file: String,
}

fn file(ctx: &Ctx, Path(path): Path<FilePath>) -> Result<File, Error> {
    let file = swagger::file(&path.file).ok_or_else(|| Error::new(Kind::NotFound, "Not Found"))?;
    Ok(File(file.reply(&ctx.request)))
}

fn read_it(ctx: &Ctx, (): ()) -> Result<Html, Error> {
    ui::documentation(ctx, "redoc.html", READ_POLICY)
}
