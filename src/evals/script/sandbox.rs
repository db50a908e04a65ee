//! The engine: QuickJS, made anew for each evaluation, with bounds on steps, time, memory and stack.

use crate::evals::script::body::{FileKind, file_kind, function_body};
use crate::evals::script::{MAX_MEMORY, MAX_STEPS, MAX_TIME, ScriptArguments, ScriptError};
use crate::evals::suite::Script;
use rquickjs::context::EvalOptions;
use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::promise::PromiseState;
use rquickjs::{
    CatchResultExt, CaughtError, Context, Ctx, Error, Exception, Function, Module, Object, Promise,
    Runtime, Type, Value as Js,
};
use serde_json::Value;
use std::cell::Cell;
use std::rc::Rc;
use tokio::time::Instant;

/// Bytes of the stack that a script may use.
const MAX_STACK: usize = 512 << 10;
/// Steps between two looks at the bounds; the engine's own figure.
const STEPS_PER_LOOK: u64 = 10_000;
/// What every script finds there, and what it finds missing.
const PRELUDE: &str = include_str!("prelude.js");

/// Why there is no value, before the file's name is added.
enum Failure {
    Engine(Error),
    Unsettled,
    NoValue(&'static str),
    NoFunction,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// Runs a script; see [`crate::evals::script::run`].
pub(super) fn evaluate(
    script: &Script,
    arguments: &ScriptArguments<'_>,
) -> Result<Value, ScriptError> {
    if let Some(file) = &script.file
        && file_kind(file, &script.code) == FileKind::Foreign
    {
        let file = file.clone();
        return Err(ScriptError::NotJavascript { file });
    }
    let is_stopped = Rc::new(Cell::new(false));
    let engine = |error: Error| ScriptError::Engine {
        message: error.to_string(),
    };
    let runtime = bounded_runtime(&is_stopped).map_err(engine)?;
    let context = Context::full(&runtime).map_err(engine)?;
    context.with(|ctx| {
        let outcome = call(&ctx, script, arguments);
        // Whatever the script made of being stopped, it was stopped.
        if is_stopped.get() {
            let file = script.file.clone();
            return Err(ScriptError::TooLong { file });
        }
        outcome.map_err(|failure| explained(&ctx, failure, script))
    })
}

fn bounded_runtime(is_stopped: &Rc<Cell<bool>>) -> Result<Runtime, Error> {
    let runtime = Runtime::new()?;
    runtime.set_memory_limit(MAX_MEMORY);
    runtime.set_max_stack_size(MAX_STACK);
    runtime.set_loader(NoModules, NoModules);
    let (is_stopped, begin) = (Rc::clone(is_stopped), Instant::now());
    let mut steps = 0;
    runtime.set_interrupt_handler(Some(Box::new(move || {
        steps += STEPS_PER_LOOK;
        let is_over = MAX_STEPS < steps || MAX_TIME < begin.elapsed();
        is_stopped.set(is_stopped.get() || is_over);
        is_stopped.get()
    })));
    Ok(runtime)
}

fn call<'js>(
    ctx: &Ctx<'js>,
    script: &Script,
    arguments: &ScriptArguments<'_>,
) -> Result<Value, Failure> {
    evaluate_code::<()>(ctx, PRELUDE.to_owned(), "prelude.js")?;
    let input = ctx.json_parse(arguments.input.to_string())?;
    let context = ctx.json_parse(arguments.context.to_string())?;
    let process: Js<'js> = ctx.globals().get("process")?;
    let function = match &script.file {
        None => inline_function(ctx, script, arguments)?,
        Some(file) => exported_function(ctx, script, file)?,
    };
    let returned = function.call((input, context, process))?;
    let value = settled(ctx, returned)?;
    json_of(ctx, value)
}

fn evaluate_code<'js, V: rquickjs::FromJs<'js>>(
    ctx: &Ctx<'js>,
    code: String,
    name: &str,
) -> Result<V, Error> {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(name.to_owned());
    ctx.eval_with_options(code, options)
}

fn inline_function<'js>(
    ctx: &Ctx<'js>,
    script: &Script,
    arguments: &ScriptArguments<'_>,
) -> Result<Function<'js>, Failure> {
    let body = function_body(&script.code, arguments.purpose);
    let input = arguments.purpose.input();
    // On the first line of the wrapper, so that lines are counted as in the suite.
    let code = format!("(function ({input}, context, process) {{ {body}\n}})");
    Ok(evaluate_code(ctx, code, "inline")?)
}

fn exported_function<'js>(
    ctx: &Ctx<'js>,
    script: &Script,
    file: &str,
) -> Result<Function<'js>, Failure> {
    let exports = match file_kind(file, &script.code) {
        FileKind::Module => module_exports(ctx, script, file)?,
        FileKind::CommonJs | FileKind::Foreign => common_exports(ctx, script, file)?,
    };
    let inner: Option<Js<'js>> = match exports.as_object() {
        Some(object) => object.get("default").ok(),
        None => None,
    };
    let candidates = [inner.as_ref(), Some(&exports)];
    let mut candidates = candidates.into_iter().flatten();
    let found = match &script.function {
        Some(name) => candidates.find_map(|value| member(value, name)),
        None => candidates.find_map(|value| value.as_function().cloned()),
    };
    found.ok_or(Failure::NoFunction)
}

fn member<'js>(value: &Js<'js>, name: &str) -> Option<Function<'js>> {
    value.as_object()?.get(name).ok()
}

fn module_exports<'js>(ctx: &Ctx<'js>, script: &Script, file: &str) -> Result<Js<'js>, Failure> {
    let module = Module::declare(ctx.clone(), file, script.code.as_str())?;
    let (module, done) = module.eval()?;
    settled(ctx, done.into_value())?;
    Ok(module.namespace()?.into_value())
}

fn common_exports<'js>(ctx: &Ctx<'js>, script: &Script, file: &str) -> Result<Js<'js>, Failure> {
    // A first line for the shell keeps its place as a comment.
    let code = match script.code.strip_prefix("#!") {
        Some(rest) => format!("//{rest}"),
        None => script.code.clone(),
    };
    let code = format!("(function (module, exports, require) {{ {code}\n}})");
    let wrapper: Function<'js> = evaluate_code(ctx, code, file)?;
    let module = Object::new(ctx.clone())?;
    let exports = Object::new(ctx.clone())?;
    module.set("exports", exports.clone())?;
    let require: Js<'js> = ctx.globals().get("require")?;
    wrapper.call::<_, Js<'js>>((module.clone(), exports, require))?;
    Ok(module.get("exports")?)
}

/// Runs the jobs until `value` is no open promise any more.
fn settled<'js>(ctx: &Ctx<'js>, value: Js<'js>) -> Result<Js<'js>, Failure> {
    let Some(promise) = value.as_promise().cloned() else {
        return Ok(value);
    };
    while promise.state() == PromiseState::Pending {
        if !ctx.execute_pending_job() {
            return Err(Failure::Unsettled);
        }
    }
    outcome_of(&promise)
}

fn outcome_of<'js>(promise: &Promise<'js>) -> Result<Js<'js>, Failure> {
    match promise.result() {
        Some(outcome) => Ok(outcome?),
        None => Err(Failure::Unsettled),
    }
}

fn json_of<'js>(ctx: &Ctx<'js>, value: Js<'js>) -> Result<Value, Failure> {
    match value.type_of() {
        Type::Undefined | Type::Uninitialized => return Err(Failure::NoValue("undefined")),
        Type::Function | Type::Constructor => return Err(Failure::NoValue("a function")),
        Type::Symbol => return Err(Failure::NoValue("a symbol")),
        Type::Float if !value.as_float().is_some_and(f64::is_finite) => {
            let is_nan = value.as_float().is_some_and(f64::is_nan);
            return Err(Failure::NoValue(if is_nan { "NaN" } else { "Infinity" }));
        }
        _ => {}
    }
    let Some(text) = ctx.json_stringify(value)? else {
        return Err(Failure::NoValue("what JSON cannot say"));
    };
    serde_json::from_str(&text.to_string()?)
        .map_err(|_| Failure::NoValue("text with half of a character"))
}

fn explained(ctx: &Ctx<'_>, failure: Failure, script: &Script) -> ScriptError {
    let file = script.file.clone();
    let caught = match failure {
        Failure::Unsettled => return ScriptError::Unsettled { file },
        Failure::NoValue(what) => {
            let what = what.to_owned();
            return ScriptError::NoValue { file, what };
        }
        Failure::NoFunction => {
            let (file, function) = (file.unwrap_or_default(), script.function.clone());
            return ScriptError::NoFunction { file, function };
        }
        Failure::Engine(error) => match Err::<(), Error>(error).catch(ctx) {
            Err(caught) => caught,
            Ok(()) => return ScriptError::Unsettled { file },
        },
    };
    let message = words_of(&caught);
    ScriptError::Threw { file, message }
}

fn words_of(caught: &CaughtError<'_>) -> String {
    match caught {
        CaughtError::Error(error) => error.to_string(),
        CaughtError::Exception(exception) => words_of_exception(exception),
        CaughtError::Value(value) => match value.as_string() {
            Some(text) => text.to_string().unwrap_or_default(),
            None => "a value that is no error".to_owned(),
        },
    }
}

/// `TypeError: it is bad (a.js:3:4)`.
fn words_of_exception(exception: &Exception<'_>) -> String {
    let name: String = exception.get("name").unwrap_or_else(|_| "Error".to_owned());
    let message = exception.message().unwrap_or_default();
    let stack = exception.stack().unwrap_or_default();
    let place = stack.lines().find_map(|line| {
        let (_, place) = line.trim_end().trim_end_matches(')').rsplit_once('(')?;
        (place != "native" && !place.starts_with("prelude.js")).then(|| place.to_owned())
    });
    match place {
        Some(place) => format!("{name}: {message} ({place})"),
        None => format!("{name}: {message}"),
    }
}

/// There are no modules here.
#[derive(Debug)]
struct NoModules;

impl Resolver for NoModules {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        _base: &str,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<String, Error> {
        let message = format!("the sandbox has no IO: `import` of `{name}` is not there");
        Err(Exception::throw_message(ctx, &message))
    }
}

impl Loader for NoModules {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>, Error> {
        let message = format!("the sandbox has no IO: `import` of `{name}` is not there");
        Err(Exception::throw_message(ctx, &message))
    }
}
