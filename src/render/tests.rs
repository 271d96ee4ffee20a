//! What Markdown becomes, whole.

mod bombs;
mod fuzz;
mod growing;
mod hostile;
mod painter;
mod thread;

use super::{Breaks, Source, render};

/// Elements and their attributes, as the contract has them: not taken from the list that is tested.
const ALLOWED: &[(&str, &[&str])] = &[
    ("a", &["href", "id", "class", "rel"]),
    ("blockquote", &[]),
    ("br", &[]),
    ("code", &["class"]),
    ("del", &[]),
    ("em", &[]),
    ("h1", &[]),
    ("h2", &[]),
    ("h3", &[]),
    ("h4", &[]),
    ("h5", &[]),
    ("h6", &[]),
    ("hr", &[]),
    ("input", &["type", "disabled", "checked"]),
    ("li", &["id"]),
    ("ol", &["start"]),
    ("p", &[]),
    ("pre", &[]),
    ("section", &["class"]),
    ("span", &["class"]),
    ("strong", &[]),
    ("sup", &["class"]),
    ("table", &[]),
    ("tbody", &[]),
    ("td", &["align"]),
    ("th", &["align"]),
    ("thead", &[]),
    ("tr", &[]),
    ("ul", &[]),
];

fn html(text: &str) -> String {
    render(&Source {
        text,
        message_id: 7,
        breaks: Breaks::Folded,
    })
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let html = html(text);
    assert_eq!(html.trim_end(), expected, "{text}");
    assert_eq!(inspect(&html), Ok(()), "{html}");
}

/// Reads HTML back, as strictly as nothing else does: what is not an element on the list, with attributes on the list,
/// closed in its order, is an error.
fn inspect(html: &str) -> Result<(), String> {
    let mut open = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        if rest[..start].contains('>') {
            return Err(format!("a bare > before {}", &rest[start..]));
        }
        let end = rest[start..].find('>').ok_or("an open tag")? + start;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes another"));
            }
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let allowed = ALLOWED.iter().find(|(allowed, _)| *allowed == name);
        let (_, allowed) = allowed.ok_or_else(|| format!("<{tag}>"))?;
        inspect_attributes(attributes, allowed)?;
        if name == "a" && open.contains(&"a") {
            return Err("a link in a link".to_owned());
        }
        if !matches!(name, "br" | "hr" | "input") {
            open.push(name);
        }
        // Those of `nesting`, and what stands in the innermost.
        if open.len() > 32 + 5 {
            return Err("too deep".to_owned());
        }
    }
    match open.pop() {
        Some(name) => Err(format!("<{name}> is not closed")),
        None => Ok(()),
    }
}

fn inspect_attributes(mut rest: &str, allowed: &[&str]) -> Result<(), String> {
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").ok_or_else(|| format!("attributes {rest}"))?;
        let (value, after) = after.split_once('"').ok_or_else(|| format!("attributes {rest}"))?;
        let is_good = match name {
            "href" => ["http://", "https://", "mailto:", "#fn-7-", "#fr-7-"]
                .iter()
                .any(|start| value.to_ascii_lowercase().starts_with(start)),
            "rel" => value == "noopener noreferrer nofollow",
            "id" => value.starts_with("fn-7-") || value.starts_with("fr-7-"),
            _ => true,
        };
        if !allowed.contains(&name) || !is_good {
            return Err(format!("{name}={value}"));
        }
        rest = after.trim_start();
    }
    Ok(())
}

const REL: &str = "rel=\"noopener noreferrer nofollow\"";

#[test]
fn what_people_and_models_write() {
    check("a\nb  \nc", "<p>a\nb<br>\nc</p>");
    check("# a\n\nb\n===\n\n---\n", "<h1>a</h1>\n<h1>b</h1>\n<hr>");
    check(
        "**a** *b* ~~c~~ `d<e`",
        "<p><strong>a</strong> <em>b</em> <del>c</del> <code>d&lt;e</code></p>",
    );
    check(
        "- a\n- b\n  1. c",
        "<ul>\n<li>a</li>\n<li>b<ol>\n<li>c</li>\n</ol>\n</li>\n</ul>",
    );
    check("3. a", "<ol start=\"3\">\n<li>a</li>\n</ol>");
    check(
        "> a\n> > b",
        "<blockquote>\n<p>a</p>\n<blockquote>\n<p>b</p>\n</blockquote>\n</blockquote>",
    );
    check(
        "- [x] a\n- [ ] b",
        "<ul>\n<li><input type=\"checkbox\" disabled=\"\" checked=\"\"> a</li>\n\
         <li><input type=\"checkbox\" disabled=\"\"> b</li>\n</ul>",
    );
    check(
        "|a|b|\n|-|-:|\n|1<br>2|3|",
        "<table><thead><tr><th>a</th><th align=\"right\">b</th></tr></thead><tbody>\n\
         <tr><td>1<br>\n2</td><td align=\"right\">3</td></tr>\n</tbody></table>",
    );
    check("", "");
}

#[test]
fn code_has_its_language_and_colours() {
    check(
        "```Rust title=x\nlet a = 1;\n```",
        "<pre><code class=\"language-rust\"><span class=\"k\">let</span> a = <span class=\"n\">1</span>;\n</code></pre>",
    );
    check("```\n<b>\n", "<pre><code>&lt;b&gt;\n</code></pre>");
    check("    a\n\tb", "<pre><code>a\nb</code></pre>");
    check("```\"onload=x\na\n```", "<pre><code>a\n</code></pre>");
    let long = format!("```rust\n{}\n```", "let a = 1; ".repeat(6000));
    assert!(html(&long).contains("class=\"language-rust\"") && !html(&long).contains("<span"));
}

#[test]
fn links_lead_where_they_may() {
    check(
        "[a](https://b?c&d)",
        &format!("<p><a href=\"https://b?c&amp;d\" {REL}>a</a></p>"),
    );
    check(
        "<mailto:a@b> <a@b>",
        &format!("<p><a href=\"mailto:a@b\" {REL}>mailto:a@b</a> <a href=\"mailto:a@b\" {REL}>a@b</a></p>"),
    );
    check(
        "see http://a/b_c_d.",
        &format!("<p>see <a href=\"http://a/b_c_d\" {REL}>http://a/b_c_d</a>.</p>"),
    );
    check("[a](/b) [c](d.md) [e](file:///f)", "<p>a c e</p>");
    check(
        "[a]\n\n[a]: http://b 'c'",
        &format!("<p><a href=\"http://b\" {REL}>a</a></p>"),
    );
}

#[test]
fn images_become_links() {
    let link = |url: &str| format!("<a href=\"{url}\" {REL}>{url}</a>");
    check("![a](http://b/?c)", &format!("<p>a ({})</p>", link("http://b/?c")));
    check("![](http://b)", &format!("<p>{}</p>", link("http://b")));
    check("![a *b* ![c](http://d)](data:image/png;base64,AA)", "<p>a b c</p>");
    check("![](/media/x.png)", "<p>[image]</p>");
    check(
        "[![a](http://b)](http://c)",
        &format!("<p><a href=\"http://c\" {REL}>a (http://b)</a></p>"),
    );
}

#[test]
fn formulas_stay_readable() {
    check("a $x_1*y*$ b", "<p>a <code class=\"math\">$x_1*y*$</code> b</p>");
    check(
        "$$\na < b\n$$",
        "<p><code class=\"math display\">$$\na &lt; b\n$$</code></p>",
    );
    check("it costs $5 and $6", "<p>it costs $5 and $6</p>");
}

#[test]
fn footnotes_stand_at_the_end_under_ids_of_their_message() {
    check(
        "a[^x] b[^y] c[^x]\n\n[^y]: Y\n[^x]: X *1*\n[^z]: unused",
        &format!(
            "<p>a<sup class=\"note\"><a id=\"fr-7-1\" href=\"#fn-7-1\" {REL}>1</a></sup> \
             b<sup class=\"note\"><a id=\"fr-7-2\" href=\"#fn-7-2\" {REL}>2</a></sup> \
             c<sup class=\"note\"><a id=\"fr-7-1-2\" href=\"#fn-7-1\" {REL}>1</a></sup></p>\n\
             <section class=\"footnotes\"><ol>\n\
             <li id=\"fn-7-1\"><p>X <em>1</em></p>\n<a href=\"#fr-7-1\" class=\"back\" {REL}>↩</a></li>\n\
             <li id=\"fn-7-2\"><p>Y</p>\n<a href=\"#fr-7-2\" class=\"back\" {REL}>↩</a></li>\n\
             </ol></section>"
        ),
    );
    check("a[^x]", "<p>a[^x]</p>");
}

#[test]
fn raw_html_is_text() {
    check("<div>\n*a*\n</div>", "<p>&lt;div&gt;<br>\n*a*<br>\n&lt;/div&gt;</p>");
    check("a <b onclick=x>b</b>", "<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>");
    check("<!-- a -->", "<p>&lt;!-- a --&gt;</p>");
}

#[test]
fn who_types_keeps_the_ends_of_lines() {
    let source = Source {
        text: "a\nb",
        message_id: 1,
        breaks: Breaks::Kept,
    };
    assert_eq!(render(&source), "<p>a<br>\nb</p>\n");
}

#[test]
fn what_is_too_long_or_grows_too_much_is_shown_as_it_is() {
    let long = "*a* ".repeat(70_000);
    assert_eq!(html(&long), format!("<pre><code class=\"plain\">{long}</code></pre>\n"));
    let row = "|".repeat(1000)
        + "
";
    let dense = format!(
        "{}{}|
{}",
        row,
        "|-".repeat(999),
        row.repeat(100)
    );
    assert!(html(&dense).starts_with("<pre><code class=\"plain\">||||"));
}

#[test]
fn nesting_ends() {
    let html = html(&format!("{}a\n\n{}b", "> ".repeat(40), "- ".repeat(40)));
    assert_eq!(inspect(&html), Ok(()));
    assert_eq!(html.matches("<blockquote>").count(), 30);
    assert!(html.contains("&gt; &gt; &gt; &gt; &gt; &gt; &gt; &gt; a"), "{html}");
    // In code they mean nothing, and stay.
    let code = format!("```\n{}\n```", ">".repeat(100));
    assert!(
        render(&Source {
            text: &code,
            message_id: 1,
            breaks: Breaks::Kept
        })
        .contains(&"&gt;".repeat(100))
    );
}
