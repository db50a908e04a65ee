//! Whether a page is whole, asks nobody for anything, and runs nothing but its own script.

use super::super::{fixtures, page};
use crate::wire::testing::html::check;

#[test]
fn every_page_is_whole_and_alone() {
    for (name, report) in fixtures::all() {
        let text = page(&report);
        check(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{name}"
        );
        assert!(text.len() < 12_000_000, "{name}: {}", text.len());
    }
    for wrong in [
        "<p>",
        "<p onclick=\"x\"></p>",
        "<script>1</script>",
        "<img src=\"x\">",
        "a & b",
        "<p a=b></p>",
    ] {
        let text = page(&fixtures::head_only()).replacen("<main>", &format!("{wrong}<main>"), 1);
        assert!(check(&text).is_err(), "{wrong}");
    }
}

/// The policy names the style and the script that are there.
#[test]
fn the_policy_fits_what_is_in_the_page() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let text = page(&fixtures::head_only());
    for name in ["style", "script"] {
        let (_, inside) = text.split_once(&format!("<{name}>")).unwrap();
        let (inside, _) = inside.split_once(&format!("</{name}>")).unwrap();
        let digest = sha2::Sha256::digest(inside.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(digest);
        assert!(
            text.contains(&format!("{name}-src 'sha256-{hash}'")),
            "{name}"
        );
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn the_words_of_a_page_are_stable() {
    for (name, report) in [
        ("counterfactual", fixtures::counterfactual()),
        ("findings", fixtures::safety(true)),
    ] {
        let text = page(&report);
        let (_, body) = text.split_once("<body>").unwrap();
        let (body, _) = body.split_once("<h2>All cases").unwrap();
        insta::assert_snapshot!(format!("html_{name}"), body.replace("</tr>", "</tr>\n"));
    }
}
