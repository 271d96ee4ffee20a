//! What the highlighter knows of languages: their keywords, and how comments and strings begin and end. One row each;
//! a language more is a row more. What is the same in many languages is named once.

/// One language, or several that look alike.
pub(super) struct Language {
    /// As they stand behind the fence, in lower case.
    pub(super) names: &'static [&'static str],
    /// Words that are marked.
    pub(super) keywords: &'static str,
    pub(super) case: Case,
    /// What begins a comment that ends with its line.
    pub(super) line_comments: &'static [&'static str],
    /// How longer comments begin and end.
    pub(super) block_comments: &'static [(&'static str, &'static str)],
    /// Longer quotes before those that they begin with.
    pub(super) strings: &'static [Quote],
}

/// Whether `SELECT` is `select`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Matters,
    Ignored,
}

/// What a string stands between.
#[derive(Clone, Copy)]
pub(super) struct Quote {
    pub(super) mark: &'static str,
    pub(super) kind: QuoteKind,
}

/// How far a string may go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum QuoteKind {
    /// To the end of the line; `\` takes the next character with it.
    Line,
    /// Over lines; `\` takes the next character with it.
    Lines,
    /// Over lines; `\` is a character like any other.
    Raw,
    /// One character, or nothing: a single quote also begins names.
    Character,
}

const DOUBLE: Quote = Quote {
    mark: "\"",
    kind: QuoteKind::Line,
};
const DOUBLE_LINES: Quote = Quote {
    mark: "\"",
    kind: QuoteKind::Lines,
};
const SINGLE: Quote = Quote {
    mark: "'",
    kind: QuoteKind::Line,
};
const SINGLE_LINES: Quote = Quote {
    mark: "'",
    kind: QuoteKind::Lines,
};
const SINGLE_RAW: Quote = Quote {
    mark: "'",
    kind: QuoteKind::Raw,
};
const CHARACTER: Quote = Quote {
    mark: "'",
    kind: QuoteKind::Character,
};
const BACKTICK: Quote = Quote {
    mark: "`",
    kind: QuoteKind::Lines,
};
const BACKTICK_RAW: Quote = Quote {
    mark: "`",
    kind: QuoteKind::Raw,
};
const TRIPLE_DOUBLE: Quote = Quote {
    mark: "\"\"\"",
    kind: QuoteKind::Lines,
};
const TRIPLE_SINGLE: Quote = Quote {
    mark: "'''",
    kind: QuoteKind::Lines,
};

const C_COMMENTS: (&[&str], &[(&str, &str)]) = (&["//"], &[("/*", "*/")]);
const HASH_COMMENTS: (&[&str], &[(&str, &str)]) = (&["#"], &[]);

const fn language(
    names: &'static [&'static str],
    comments: (&'static [&'static str], &'static [(&'static str, &'static str)]),
    strings: &'static [Quote],
    keywords: &'static str,
) -> Language {
    Language {
        names,
        keywords,
        case: Case::Matters,
        line_comments: comments.0,
        block_comments: comments.1,
        strings,
    }
}

impl Language {
    const fn whatever_case(mut self) -> Language {
        self.case = Case::Ignored;
        self
    }
}

pub(super) const LANGUAGES: &[Language] = &[
    language(
        &["rust", "rs"],
        C_COMMENTS,
        &[DOUBLE_LINES, CHARACTER],
        "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut \
         pub ref return self Self static struct super trait true type union unsafe use where while Some None Ok Err",
    ),
    language(
        &["python", "py", "python3", "pyi", "pycon"],
        HASH_COMMENTS,
        &[TRIPLE_DOUBLE, TRIPLE_SINGLE, DOUBLE, SINGLE],
        "and as assert async await break case class continue def del elif else except False finally for from global if \
         import in is lambda match None nonlocal not or pass raise return self True try while with yield",
    ),
    language(
        &["javascript", "js", "jsx", "mjs", "cjs", "typescript", "ts", "tsx", "vue", "svelte"],
        C_COMMENTS,
        &[DOUBLE, SINGLE, BACKTICK],
        "abstract any as async await boolean break case catch class const continue debugger declare default delete do else \
         enum export extends false finally for from function get if implements import in instanceof interface keyof let \
         namespace never new null number of private protected public readonly return set static string super switch this \
         throw true try type typeof undefined unknown var void while with yield",
    ),
    language(
        &["go", "golang"],
        C_COMMENTS,
        &[DOUBLE, CHARACTER, BACKTICK_RAW],
        "any bool break byte case chan const continue default defer else error fallthrough false float64 for func go goto if \
         import int int64 interface iota map nil package range return rune select string struct switch true type uint var",
    ),
    language(
        &["c", "h", "cpp", "c++", "cc", "hpp", "cxx", "objc", "arduino", "cuda", "glsl"],
        (&["//"], &[("/*", "*/")]),
        &[DOUBLE, CHARACTER],
        "alignas auto bool break case catch char class const consteval constexpr continue default delete do double else enum \
         explicit extern false final float for friend goto if inline int long mutable namespace new noexcept nullptr NULL \
         operator override private protected public register requires return short signed sizeof static struct switch \
         template this throw true try typedef typename union unsigned using virtual void volatile while",
    ),
    language(
        &["java", "kotlin", "kt", "kts", "scala", "groovy", "gradle"],
        C_COMMENTS,
        &[TRIPLE_DOUBLE, DOUBLE, CHARACTER],
        "abstract as assert boolean break by byte case catch char class companion const continue data def default do double \
         else enum extends false final finally float for fun given if implements import in init instanceof int interface \
         internal is lateinit lazy long match native new null object open operator out override package private protected \
         public record return sealed short static String super suspend switch synchronized this throw throws trait true try \
         type val var void volatile when where while with yield",
    ),
    language(
        &["csharp", "cs", "c#", "fsharp", "f#"],
        C_COMMENTS,
        &[TRIPLE_DOUBLE, DOUBLE, CHARACTER],
        "abstract as async await base bool break byte case catch char class const continue decimal default delegate do double \
         else enum event explicit extern false finally fixed float for foreach get goto if implicit in init int interface \
         internal is let lock long match member mutable namespace new null object open operator out override params private \
         protected public readonly record ref return sealed set short static string struct switch this throw true try type \
         typeof uint ulong unsafe using var virtual void when where while with yield",
    ),
    language(
        &["swift", "dart"],
        C_COMMENTS,
        &[TRIPLE_DOUBLE, TRIPLE_SINGLE, DOUBLE, SINGLE],
        "actor any as associatedtype async await break case catch class const continue default defer deinit do dynamic else \
         enum extends extension factory fallthrough false final finally for func get guard if implements import in init inout \
         internal is late lazy let library mixin mutating new nil null open operator override part private protocol public \
         repeat required rethrows return self Self set some static struct subscript super switch this throw throws true try \
         typealias var void weak where while with yield",
    ),
    language(
        &["ruby", "rb", "elixir", "ex", "exs", "crystal"],
        HASH_COMMENTS,
        &[TRIPLE_DOUBLE, DOUBLE_LINES, SINGLE],
        "alias and begin break case class cond def defmodule defp defstruct do else elsif end ensure extend false fn for if \
         import in include module next nil not or private protected public raise redo require rescue retry return self super \
         then true undef unless until use when while with yield",
    ),
    language(
        &["php"],
        (&["//", "#"], &[("/*", "*/")]),
        &[DOUBLE_LINES, SINGLE_LINES],
        "abstract and array as bool break case catch class clone const continue declare default do echo else elseif empty enum \
         extends false final finally fn for foreach function global if implements include instanceof int interface isset list \
         match namespace new null or private protected public readonly require require_once return self static string switch \
         this throw trait true try unset use var void while yield",
    ),
    language(
        &["bash", "sh", "shell", "zsh", "fish", "console", "shellsession", "dockerfile", "docker", "makefile", "make", "cmake"],
        HASH_COMMENTS,
        &[DOUBLE_LINES, SINGLE_RAW, BACKTICK],
        "alias break case cd continue declare do done echo elif else end endif esac eval exec exit export false fi for function \
         if in local read readonly return select set shift source sudo test then trap true unset until while ADD ARG CMD COPY \
         ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN SHELL USER VOLUME WORKDIR",
    ),
    language(
        &["powershell", "ps1", "pwsh"],
        (&["#"], &[("<#", "#>")]),
        &[DOUBLE_LINES, SINGLE_RAW],
        "begin break catch class continue do else elseif end enum exit filter finally for foreach function if in param process \
         return switch throw trap try until using while",
    )
    .whatever_case(),
    language(
        &["sql", "mysql", "postgresql", "postgres", "psql", "sqlite", "plsql", "tsql"],
        (&["--"], &[("/*", "*/")]),
        &[SINGLE_RAW, DOUBLE],
        "add all alter and as asc begin between by cascade case check column commit constraint create cross database default \
         delete desc distinct drop else end except exists false foreign from full function group having if in index inner \
         insert int integer intersect into is join key left like limit not null offset on or order outer primary references \
         replace returning right rollback select set table text then trigger true union unique update using values varchar view \
         when where with",
    )
    .whatever_case(),
    language(
        &["css", "scss", "sass", "less"],
        (&["//"], &[("/*", "*/")]),
        &[DOUBLE, SINGLE],
        "@media @import @font-face @keyframes @include @mixin @use @supports !important important auto none inherit initial",
    ),
    language(&["json", "jsonc", "json5", "jsonl"], C_COMMENTS, &[DOUBLE, SINGLE], "true false null"),
    language(
        &["yaml", "yml", "toml", "ini", "conf", "properties", "env", "dotenv", "nginx", "systemd"],
        (&["#", ";"], &[]),
        &[TRIPLE_DOUBLE, TRIPLE_SINGLE, DOUBLE, SINGLE_RAW],
        "true false null yes no on off",
    )
    .whatever_case(),
    language(
        &["lua"],
        (&["--"], &[("--[[", "]]")]),
        &[DOUBLE, SINGLE],
        "and break do else elseif end false for function goto if in local nil not or repeat return then true until while",
    ),
    language(
        &["haskell", "hs", "elm", "purescript"],
        (&["--"], &[("{-", "-}")]),
        &[DOUBLE, CHARACTER],
        "as case class data deriving do else forall foreign hiding if import in infix infixl infixr instance let module newtype \
         of qualified then type where",
    ),
    language(
        &["ocaml", "ml", "sml"],
        (&[], &[("(*", "*)")]),
        &[DOUBLE_LINES, CHARACTER],
        "and as begin do done else end exception external false for fun function functor if in include let match module mutable \
         new object of open rec sig struct then to true try type val when while with",
    ),
    language(
        &["r", "julia", "jl", "perl", "pl", "nim"],
        HASH_COMMENTS,
        &[TRIPLE_DOUBLE, DOUBLE_LINES, SINGLE],
        "abstract baremodule begin break const continue do else elseif elsif end export FALSE false for foreach function global \
         if import in last let library local macro module my mutable NA next NULL our package proc quote repeat require return \
         struct sub TRUE true try unless until use using var where while",
    ),
    language(
        &["zig", "v", "vlang", "solidity", "sol", "wgsl", "protobuf", "proto", "hcl", "terraform", "tf", "graphql"],
        C_COMMENTS,
        &[DOUBLE, CHARACTER],
        "address align bool break case catch comptime const continue contract defer else enum errdefer error event export \
         extern false fn for function if import in input inline interface let locals mapping match message modifier mut null \
         optional or orelse output override package private provider pub public query repeated require resource return returns \
         rpc schema service string struct switch syntax test true try type uint256 undefined union unreachable var variable view \
         void while",
    ),
    language(
        &["clojure", "clj", "lisp", "scheme", "racket", "elisp", "emacs-lisp"],
        (&[";"], &[("#|", "|#")]),
        &[DOUBLE_LINES],
        "and begin case cond def defmacro defn defun define do else false fn if lambda let loop nil not ns or quote recur require \
         set! setq true unless when",
    ),
];

/// Text in tags: what stands between `<` and `>` is marked instead of keywords.
pub(super) const MARKUP: &[&str] = &["html", "xml", "svg", "xhtml", "rss", "plist"];

/// Changes: whole lines are marked.
pub(super) const CHANGES: &[&str] = &["diff", "patch"];
