//! The web UI's files: the shell at every `/ui` address, everything else under `/assets/<hash of all>/`, for ever.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use include_dir::{Dir, include_dir};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Ctx;
use crate::auth::digest_hex;
use crate::error::{Error, Kind};
use crate::http::{Auth, File, Html, Path, Raw, Reply, Request, Route, get};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get("/ui", Auth::Public, "The web UI", &Raw(shell)),
    get(
        "/ui/{path...}",
        Auth::Public,
        "The web UI, at any of its pages",
        &Raw(page),
    ),
    get(
        "/assets/{version}/{path...}",
        Auth::Public,
        "The web UI's files",
        &Raw(asset),
    ),
];

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/assets");

/// The page that every address of the UI begins with.
const SHELL: &str = "index.html";

/// What pages say where the files' folder belongs.
const BASE: &str = "{{base}}";

/// What pages say where the way to the root belongs.
const ROOT: &str = "{{root}}";

/// Nothing from elsewhere, nothing inline: text from people and models cannot become a program, nor call home.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types fireside";

/// How deep an address of the UI may lie: its own are `/ui/c/<id>` at most. Each level makes the shell's ways to its files
/// longer.
const DEPTH_MAX: usize = 4;

/// The files, embedded or from a folder.
pub(super) struct Assets {
    /// Serve from here instead, read anew each time.
    folder: Option<PathBuf>,
    /// The hash of all: made for the first page, as a start and a server that only programs use need none of the files.
    version: OnceLock<String>,
    /// Put together for the first of them.
    files: OnceLock<BTreeMap<String, Asset>>,
    /// The shell, by the depth of the address that it is served at.
    shells: [OnceLock<Asset>; DEPTH_MAX],
}

/// What is sent often and never changes.
pub(super) struct Asset {
    bytes: Cow<'static, [u8]>,
    /// Made at the first request and then kept, as what is compressed.
    tag: OnceLock<String>,
    gzip: OnceLock<Vec<u8>>,
}

impl Asset {
    pub(super) fn new(bytes: impl Into<Cow<'static, [u8]>>) -> Asset {
        Asset {
            bytes: bytes.into(),
            tag: OnceLock::new(),
            gzip: OnceLock::new(),
        }
    }

    /// The whole of it, compressed for those who take it so, or 304 for those who have it.
    pub(super) fn reply(&self, request: &Request, media_type: &'static str, cache_control: &str) -> Reply {
        let is_gzip = accepts_gzip(request) && is_text(media_type) && !self.gzip().is_empty();
        // Other bytes, another tag: a cache must not take one for the other.
        let etag = &format!("\"{}{}\"", self.tag(), if is_gzip { "-gzip" } else { "" });
        let common = |reply: Reply| {
            reply
                .header("Cache-Control", cache_control)
                .header("ETag", etag)
                .header("Vary", "Accept-Encoding, Accept")
        };
        if is_known(request, etag) {
            return common(Reply::empty(304));
        }
        if is_gzip {
            let reply = Reply::bytes(200, media_type, self.gzip().to_vec());
            return common(reply.header("Content-Encoding", "gzip"));
        }
        common(Reply::bytes(200, media_type, self.bytes.to_vec()))
    }

    /// What tells these bytes from others.
    fn tag(&self) -> &str {
        self.tag.get_or_init(|| digest_hex(&self.bytes)[..16].to_owned())
    }

    fn gzip(&self) -> &[u8] {
        self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            // Writing to memory does not fail; an empty result means "send it as it is".
            encoder
                .write_all(&self.bytes)
                .and_then(|()| encoder.finish())
                .unwrap_or_default()
        })
    }
}

impl Assets {
    pub(super) fn new(folder: Option<PathBuf>) -> Assets {
        Assets {
            folder,
            version: OnceLock::new(),
            files: OnceLock::new(),
            shells: Default::default(),
        }
    }

    fn files(&self) -> &BTreeMap<String, Asset> {
        self.files.get_or_init(|| {
            let mut files = BTreeMap::new();
            collect(&EMBEDDED, &mut files);
            files
        })
    }

    fn version(&self) -> &str {
        self.version.get_or_init(|| {
            let files = self.files().iter();
            let names: String = files.map(|(name, asset)| format!("{name} {}\n", asset.tag())).collect();
            digest_hex(names.as_bytes())[..12].to_owned()
        })
    }

    /// Where the files are, from the root.
    fn base(&self) -> String {
        let version = self.folder.as_ref().map_or_else(|| self.version(), |_| "folder");
        format!("/assets/{version}")
    }

    /// A page with the ways from where it is: `root` is the one to the root, without a slash at the end.
    fn page(&self, text: &[u8], root: &str) -> Vec<u8> {
        let base = format!("{root}{}", self.base());
        let page = String::from_utf8_lossy(text).replace(BASE, &base);
        page.replace(ROOT, root).into_bytes()
    }
}

fn collect(folder: &Dir<'static>, files: &mut BTreeMap<String, Asset>) {
    for file in folder.files() {
        let name = file.path().to_string_lossy().replace('\\', "/");
        files.insert(name, Asset::new(file.contents()));
    }
    for folder in folder.dirs() {
        collect(folder, files);
    }
}

#[derive(Deserialize, JsonSchema)]
struct PagePath {
    #[serde(rename = "path")]
    _path: String,
}

fn page(ctx: &Ctx, _: Path<PagePath>) -> Result<Html, Error> {
    shell(ctx, ())
}

/// The shell. It names the files it needs, so it is asked for anew each time and they never are. It names them by ways from
/// where it is, so that the UI works below any path that a proxy in front puts it under.
pub(super) fn shell(ctx: &Ctx, (): ()) -> Result<Html, Error> {
    let depth = ctx.request.path().matches('/').count().saturating_sub(1);
    let kept = ctx.assets.shells.get(depth).ok_or_else(not_found)?;
    let root = if depth == 0 {
        ".".to_owned()
    } else {
        vec![".."; depth].join("/")
    };
    let reply = match &ctx.assets.folder {
        Some(folder) => {
            let page = ctx.assets.page(&read(folder, SHELL)?, &root);
            Reply::bytes(200, media_type(SHELL), page).header("Cache-Control", "no-store")
        }
        None => {
            let file = ctx.assets.files().get(SHELL).ok_or_else(not_found)?;
            let page = kept.get_or_init(|| Asset::new(ctx.assets.page(&file.bytes, &root)));
            page.reply(&ctx.request, media_type(SHELL), "no-cache")
        }
    };
    let reply = reply.header("Content-Security-Policy", POLICY);
    Ok(Html(reply.header("Cross-Origin-Opener-Policy", "same-origin")))
}

/// A page of the documentation. It names its files by ways from where it is, so that it works below any path; a slash at
/// the end of its own address is one folder more to leave.
pub(super) fn documentation(ctx: &Ctx, name: &str, policy: &str) -> Result<Html, Error> {
    let bytes = match &ctx.assets.folder {
        Some(folder) => Cow::Owned(read(folder, name)?),
        None => Cow::Borrowed(&*ctx.assets.files().get(name).ok_or_else(not_found)?.bytes),
    };
    let root = if ctx.request.path().ends_with('/') { ".." } else { "." };
    let reply = Reply::bytes(200, media_type(name), ctx.assets.page(&bytes, root));
    Ok(Html(
        reply
            .header("Cache-Control", "no-cache")
            .header("Content-Security-Policy", policy)
            .header("Cross-Origin-Opener-Policy", "same-origin"),
    ))
}

#[derive(Deserialize, JsonSchema)]
struct AssetPath {
    version: String,
    path: String,
}

fn asset(ctx: &Ctx, Path(path): Path<AssetPath>) -> Result<File, Error> {
    // Another version's address does not find today's file: a page made of both would work like neither.
    let is_current = path.version == ctx.assets.version() || ctx.assets.folder.is_some();
    // Pages have addresses of their own, and policies that come with those.
    if path.path.ends_with(".html") || !is_current {
        return Err(not_found());
    }
    serve(ctx, &path.path, "public, max-age=31536000, immutable").map(File)
}

fn not_found() -> Error {
    Error::new(Kind::NotFound, "Not Found")
}

fn serve(ctx: &Ctx, name: &str, cache_control: &str) -> Result<Reply, Error> {
    if let Some(folder) = &ctx.assets.folder {
        let bytes = read(folder, name)?;
        return Ok(Reply::bytes(200, media_type(name), bytes).header("Cache-Control", "no-store"));
    }
    let asset = ctx.assets.files().get(name).ok_or_else(not_found)?;
    Ok(asset.reply(&ctx.request, media_type(name), cache_control))
}

/// Whether the client has the version of this tag already.
pub(super) fn is_known(request: &Request, etag: &str) -> bool {
    request.header("If-None-Match").is_some_and(|tags| {
        tags.split(',')
            .any(|tag| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == etag)
    })
}

pub(super) fn accepts_gzip(request: &Request) -> bool {
    let value = request.header("Accept-Encoding").unwrap_or("");
    value.split(',').any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = matches!(
            quality.replace(' ', "").as_str(),
            "q=0" | "q=0.0" | "q=0.00" | "q=0.000"
        );
        matches!(name.trim(), "gzip" | "*") && !is_refused
    })
}

/// A file of the folder that `--assets` names, never one outside of it.
fn read(folder: &FilePath, name: &str) -> Result<Vec<u8>, Error> {
    let is_inside = name
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\\'));
    if !is_inside {
        return Err(not_found());
    }
    std::fs::read(folder.join(name)).map_err(|error| not_found().caused_by(error))
}

fn is_text(media_type: &str) -> bool {
    !matches!(media_type, "image/png" | "application/octet-stream")
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
