//! JavaScript of suites, in a sandbox without IO: assertions, transforms and scoring functions.
//!
//! Each evaluation has an engine of its own, so that nothing is left over from the one before: the same
//! code with the same arguments says the same. It may take [`MAX_STEPS`] steps (loops and calls; a regular
//! expression's backtracking counts too), [`MAX_TIME`] and [`MAX_MEMORY`] bytes. There are no files, no
//! network, no timers and no modules; `Math.random` is a fixed sequence.

mod body;
mod sandbox;

use crate::evals::suite::Script;
use serde_json::{Value, json};
use std::time::Duration;

/// Loops and calls that an evaluation may take.
pub const MAX_STEPS: u64 = 3_000_000;
/// How long an evaluation may take, however few steps it needs.
pub const MAX_TIME: Duration = Duration::from_secs(1);
/// Bytes that an evaluation may hold.
pub const MAX_MEMORY: usize = 32 << 20;

/// What a script is run for: it decides how inline code becomes a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `output` and `context`; one line may begin with declarations and end with an expression.
    Assertion,
    /// `output` and `context`; one line is an expression.
    Transform,
    /// `vars` and `context`; one line is an expression.
    TransformVars,
    /// `namedScores` and `context`; one line is an expression.
    Scoring,
}

impl Purpose {
    /// Returns the name of the first parameter.
    const fn input(self) -> &'static str {
        match self {
            Self::Assertion | Self::Transform => "output",
            Self::TransformVars => "vars",
            Self::Scoring => "namedScores",
        }
    }
}

/// What a script is given.
#[derive(Debug, Clone, Copy)]
pub struct ScriptArguments<'a> {
    /// What it is run for.
    pub purpose: Purpose,
    /// The first argument.
    pub input: &'a Value,
    /// The second argument.
    pub context: &'a Value,
}

/// Why a script gives no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// It threw, or cannot be parsed.
    #[error("the script{} threw: {message}", place(file.as_deref()))]
    Threw {
        /// Its file.
        file: Option<String>,
        /// The error's own words, with its line where that is known.
        message: String,
    },
    /// It does not end.
    #[error("the script{} was stopped: it takes more than {MAX_STEPS} steps or {} ms", place(file.as_deref()), MAX_TIME.as_millis())]
    TooLong {
        /// Its file.
        file: Option<String>,
    },
    /// It waits for what never comes.
    #[error("the script{} returned a promise that nothing settles: there are no timers and no IO", place(file.as_deref()))]
    Unsettled {
        /// Its file.
        file: Option<String>,
    },
    /// What it returned is no JSON value.
    #[error("the script{} returned {what}, which is no value", place(file.as_deref()))]
    NoValue {
        /// Its file.
        file: Option<String>,
        /// What it is: `undefined`, `a function`, `NaN`.
        what: String,
    },
    /// The file has no such function.
    #[error("`{file}` exports no function{}", called(function.as_deref()))]
    NoFunction {
        /// The file.
        file: String,
        /// The function that was asked for.
        function: Option<String>,
    },
    /// The file is in another language.
    #[error("`{file}` is not JavaScript: compile it to `.js` first")]
    NotJavascript {
        /// The file.
        file: String,
    },
    /// The engine did not start.
    #[error("the script engine did not start: {message}")]
    Engine {
        /// Why.
        message: String,
    },
}

impl ScriptError {
    /// Returns the stable code.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Threw { .. } => "script_threw",
            Self::TooLong { .. } => "script_too_long",
            Self::Unsettled { .. } => "script_unsettled",
            Self::NoValue { .. } => "script_no_value",
            Self::NoFunction { .. } => "script_no_function",
            Self::NotJavascript { .. } => "script_not_javascript",
            Self::Engine { .. } => "script_engine",
        }
    }
}

/// Runs a script and returns its value; promises are awaited.
///
/// It holds the thread for up to [`MAX_TIME`]: a thread that serves others should not call it.
///
/// # Errors
///
/// When it throws, does not end, or returns what is no JSON value.
pub fn run(script: &Script, arguments: &ScriptArguments<'_>) -> Result<Value, ScriptError> {
    sandbox::evaluate(script, arguments)
}

/// Runs a transform of an answer: `output`, and `context` as promptfoo gives it (`vars`, `prompt`).
///
/// # Errors
///
/// As [`run`], and when it returns `null`.
pub fn transform(script: &Script, output: &Value, context: &Value) -> Result<Value, ScriptError> {
    transformed(script, Purpose::Transform, output, context)
}

/// Runs a transform of variables.
///
/// # Errors
///
/// As [`run`], and when it returns `null`.
pub fn transform_vars(
    script: &Script,
    vars: &Value,
    context: &Value,
) -> Result<Value, ScriptError> {
    transformed(script, Purpose::TransformVars, vars, context)
}

fn transformed(
    script: &Script,
    purpose: Purpose,
    input: &Value,
    context: &Value,
) -> Result<Value, ScriptError> {
    let arguments = ScriptArguments {
        purpose,
        input,
        context,
    };
    match run(script, &arguments)? {
        Value::Null => Err(ScriptError::NoValue {
            file: script.file.clone(),
            what: "null".to_owned(),
        }),
        value => Ok(value),
    }
}

/// Whether JavaScript's `new RegExp(pattern)` matches somewhere in `text`. `Ok(Err(_))` is a pattern that
/// is none, with the engine's words.
///
/// # Errors
///
/// When matching does not end.
pub fn regex_matches(pattern: &str, text: &str) -> Result<Result<bool, String>, ScriptError> {
    let script = Script {
        code: include_str!("regex.js").to_owned(),
        function: None,
        file: None,
    };
    let arguments = ScriptArguments {
        purpose: Purpose::Transform,
        input: &json!(text),
        context: &json!(pattern),
    };
    match run(&script, &arguments)? {
        Value::Bool(is_match) => Ok(Ok(is_match)),
        Value::String(reason) => Ok(Err(reason)),
        other => Err(ScriptError::NoValue {
            file: None,
            what: other.to_string(),
        }),
    }
}

fn place(file: Option<&str>) -> String {
    file.map(|file| format!(" `{file}`")).unwrap_or_default()
}

fn called(function: Option<&str>) -> String {
    function
        .map(|function| format!(" called `{function}`"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Purpose, ScriptArguments, ScriptError, regex_matches, run, transform};
    use crate::evals::suite::Script;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn inline(code: &str) -> Script {
        Script {
            code: code.to_owned(),
            function: None,
            file: None,
        }
    }

    fn file(name: &str, code: &str, function: Option<&str>) -> Script {
        Script {
            code: code.to_owned(),
            function: function.map(str::to_owned),
            file: Some(name.to_owned()),
        }
    }

    fn assert_of(script: &Script, output: Value) -> Result<Value, ScriptError> {
        let context = json!({"vars": {"name": "Ada"}, "threshold": 0.5});
        let arguments = ScriptArguments {
            purpose: Purpose::Assertion,
            input: &output,
            context: &context,
        };
        run(script, &arguments)
    }

    #[test]
    fn inline_code_becomes_a_function_as_promptfoo_makes_it() {
        for (code, expected) in [
            ("output === 'hi'", json!(true)),
            ("output.length;", json!(2)),
            ("const s = output; s === 'a;b'", json!(false)),
            ("let n = output.length; n > 1;", json!(true)),
            ("const n = 1;\nreturn n + output.length", json!(3)),
            ("context.vars.name // why not", json!("Ada")),
            ("Promise.resolve(0.25)", json!(0.25)),
            ("(async () => { await null; return output })()", json!("hi")),
            (
                "({pass: true, score: 1, reason: 'ok'})",
                json!({"pass": true, "score": 1, "reason": "ok"}),
            ),
            ("[1, 2.5, null]", json!([1, 2.5, null])),
            ("output.replace(/(?<=h)i/u, '!')", json!("h!")),
            ("console.log(output) === undefined", json!(true)),
            (
                "typeof process === 'object' && typeof require === 'function'",
                json!(true),
            ),
            ("structuredClone({a: 1}).a", json!(1)),
        ] {
            assert_eq!(
                assert_of(&inline(code), json!("hi")).as_ref(),
                Ok(&expected),
                "{code}"
            );
        }
    }

    #[test]
    fn files_export_functions_in_either_way() {
        for (name, code, function, expected) in [
            (
                "a.js",
                "module.exports = (output) => output + '!';",
                None,
                json!("hi!"),
            ),
            (
                "a.js",
                "module.exports = { check(output, context) { return context.vars.name } };",
                Some("check"),
                json!("Ada"),
            ),
            ("a.js", "exports.default = () => 1;", None, json!(1)),
            (
                "a.cjs",
                "module.exports = async (o) => { await 0; return o.length };",
                None,
                json!(2),
            ),
            (
                "a.js",
                "export default (output) => output.length > 1;",
                None,
                json!(true),
            ),
            (
                "a.mjs",
                "const k = 2;\nexport function twice(o) { return k * o.length }",
                Some("twice"),
                json!(4),
            ),
            (
                "a.js",
                "const one = () => 1;\nexport default { one };",
                Some("one"),
                json!(1),
            ),
            (
                "a.js",
                "export default async function (o) { return await Promise.resolve(o) }",
                None,
                json!("hi"),
            ),
            (
                "a.js",
                "#!/usr/bin/env node\nmodule.exports = () => true",
                None,
                json!(true),
            ),
        ] {
            let outcome = assert_of(&file(name, code, function), json!("hi"));
            assert_eq!(outcome.as_ref(), Ok(&expected), "{code}");
        }
    }

    #[test]
    fn what_goes_wrong_is_told() {
        for (script, kind, words) in [
            (inline("nope.x"), "script_threw", "nope"),
            (inline("return ("), "script_threw", "SyntaxError"),
            (
                inline("const a = 1;\nthrow new TypeError('bad')"),
                "script_threw",
                "TypeError: bad",
            ),
            (inline("const a = 1;\nthrow 'text'"), "script_threw", "text"),
            (
                inline("require('fs')"),
                "script_threw",
                "the sandbox has no IO: `require`",
            ),
            (
                inline("process.env.HOME"),
                "script_threw",
                "the sandbox has no IO: `process`",
            ),
            (
                inline("fetch('http://x')"),
                "script_threw",
                "the sandbox has no IO: `fetch`",
            ),
            (
                inline("import('fs')"),
                "script_threw",
                "the sandbox has no IO: `import` of `fs`",
            ),
            (
                file(
                    "b.mjs",
                    "import fs from 'fs';\nexport default () => 1",
                    None,
                ),
                "script_threw",
                "`import` of `fs`",
            ),
            (inline("for (;;) {\n}"), "script_too_long", "was stopped"),
            (
                inline("(async () => { for (;;) await null })()"),
                "script_too_long",
                "was stopped",
            ),
            (
                inline("/^(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab')"),
                "script_too_long",
                "was stopped",
            ),
            (
                inline("const a = [];\nfor (;;) a.push('x'.repeat(1000000) + a.length)"),
                "script_threw",
                "memory",
            ),
            (
                inline("const f = () => f() + 1;\nreturn f()"),
                "script_threw",
                "stack",
            ),
            (
                inline("Array.prototype.join.call({length: 2 ** 53}, '')"),
                "script_threw",
                "more than the sandbox takes",
            ),
            (
                inline("new Promise(() => {})"),
                "script_unsettled",
                "promise",
            ),
            (inline("undefined"), "script_no_value", "undefined"),
            (inline("() => 1"), "script_no_value", "a function"),
            (inline("0 / 0"), "script_no_value", "NaN"),
            (
                inline("const a = {};\na.a = a;\nreturn a"),
                "script_threw",
                "circular",
            ),
            (
                file("c.js", "module.exports = 3", None),
                "script_no_function",
                "`c.js` exports no function",
            ),
            (
                file("c.js", "module.exports = {}", Some("x")),
                "script_no_function",
                "called `x`",
            ),
            (
                file("c.ts", "export default (a: string) => a", None),
                "script_not_javascript",
                "compile it",
            ),
            (
                file(
                    "d.js",
                    "const a = 1;\nmodule.exports = () => {\n  return a.b.c;\n}",
                    None,
                ),
                "script_threw",
                "d.js:3",
            ),
        ] {
            let error = assert_of(&script, json!("hi")).unwrap_err();
            assert_eq!(error.kind(), kind, "{} -> {error}", script.code);
            assert!(
                error.to_string().contains(words),
                "{} -> {error}",
                script.code
            );
        }
    }

    #[test]
    fn nothing_is_left_over_and_chance_is_fixed() {
        let planted = assert_of(
            &inline("globalThis.x = 1; Array.prototype.map = null;\nreturn true"),
            json!(""),
        );
        assert_eq!(planted, Ok(json!(true)));
        assert_eq!(
            assert_of(&inline("typeof x + [1].map(n => n)"), json!("")),
            Ok(json!("undefined1"))
        );
        let chance = assert_of(&inline("[Math.random(), Math.random()]"), json!("")).unwrap();
        assert_eq!(
            assert_of(&inline("[Math.random(), Math.random()]"), json!("")).unwrap(),
            chance
        );
        assert_ne!(chance[0], chance[1]);
    }

    #[test]
    fn transforms_must_give_something() {
        let context = json!({"vars": {"k": "v"}});
        let given = json!({"a": 1});
        assert_eq!(
            transform(&inline("output.a + context.vars.k"), &given, &context),
            Ok(json!("1v"))
        );
        let error = transform(&inline("null"), &given, &context).unwrap_err();
        assert_eq!(error.kind(), "script_no_value");
    }

    #[test]
    fn patterns_are_those_of_javascript() {
        for (pattern, text, expected) in [
            ("^b", "a\nb", Ok(false)),
            (r"\d{3}", "call 555", Ok(true)),
            ("(?<!not )good", "not good", Ok(false)),
            (r"\bAda\b", "I am Ada.", Ok(true)),
            ("a/b", "a/b", Ok(true)),
            (r"[\u{1F600}]", "u", Ok(true)),
        ] {
            assert_eq!(regex_matches(pattern, text), Ok(expected), "{pattern}");
        }
        for pattern in ["(?i)x", "(", "[b-a]"] {
            assert!(regex_matches(pattern, "x").unwrap().is_err(), "{pattern}");
        }
        let slow = regex_matches("^(a+)+$", &format!("{}b", "a".repeat(40)));
        assert_eq!(slow.unwrap_err().kind(), "script_too_long");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_code_takes_the_process_down(code in "\\PC{0,40}", output in "\\PC{0,20}") {
            let _ = assert_of(&inline(&code), json!(output));
            let _ = assert_of(&file("x.js", &code, None), json!(output));
            let _ = regex_matches(&code, &output);
        }

        #[test]
        fn values_come_back_as_they_went_in(text in any::<String>(), number in any::<i32>()) {
            let value = json!({"text": text, "list": [number, null, true]});
            prop_assert_eq!(assert_of(&inline("output"), value.clone()), Ok(value));
        }
    }
}
