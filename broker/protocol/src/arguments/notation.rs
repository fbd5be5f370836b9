//! Reading and printing Python's notation of a signature.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use ave_profile::Value;

use super::{Parameter, Signature};

impl FromStr for Signature {
    type Err = String;

    fn from_str(notation: &str) -> Result<Signature, String> {
        let wrong = |wanted: &str| format!("signature {notation:?}: {wanted}");
        let inside = notation.strip_suffix(')').and_then(|text| text.split_once('('));
        let (name, list) = inside.ok_or_else(|| wrong("wanted name(parameters)"))?;
        if !is_name(name) {
            return Err(wrong("the method's name is no identifier"));
        }
        let mut signature = Signature { name: name.to_owned(), parameters: Vec::new(), rest: None };
        for text in elements(list) {
            if signature.rest.is_some() {
                return Err(wrong("*rest comes last"));
            }
            match text.strip_prefix('*') {
                Some(rest) if is_name(rest) => signature.rest = Some(rest.to_owned()),
                _ => signature.parameters.push(text.parse().map_err(|error: String| wrong(&error))?),
            }
        }
        let names = signature.parameters.iter().map(|parameter| &parameter.name).chain(&signature.rest);
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.into_iter().find(|name| !seen.insert(*name)) {
            return Err(wrong(&format!("two parameters are named {twice}")));
        }
        let defaults = signature.parameters.iter().map(|parameter| parameter.default.is_some());
        if !defaults.is_sorted() {
            return Err(wrong("parameters with defaults come after those without"));
        }
        Ok(signature)
    }
}

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Parameter, String> {
        let (name, default) = match text.split_once('=') {
            None => (text, None),
            Some((name, default)) => {
                let value = literal(default).ok_or_else(|| format!("{default} is no default"))?;
                (name, Some(value))
            }
        };
        if !is_name(name) {
            return Err(format!("{name:?} is no identifier"));
        }
        Ok(Parameter { name: name.to_owned(), default })
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.default {
            None => Ok(()),
            Some(Value::Null) => f.write_str("=None"),
            Some(Value::Bool(true)) => f.write_str("=True"),
            Some(Value::Bool(false)) => f.write_str("=False"),
            Some(Value::Text(text)) => write!(f, "='{text}'"),
            Some(Value::List(_)) => f.write_str("=[]"),
            Some(other) => write!(f, "={other}"),
        }
    }
}

/// The parameters between the parentheses. No default contains a comma.
fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(move |_| !list.is_empty())
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn literal(text: &str) -> Option<Value> {
    match text {
        "None" => Some(Value::Null),
        "True" => Some(Value::Bool(true)),
        "False" => Some(Value::Bool(false)),
        "[]" => Some(Value::List(Vec::new())),
        _ => match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            Some(inner) => (!inner.contains(['\'', '\\'])).then(|| inner.into()),
            None => number(text),
        },
    }
}

/// A number in digits, with a point or without.
fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.contains(['e', 'E']) {
        return None;
    }
    let whole = text.parse().ok().map(Value::Int);
    whole.or_else(|| text.parse().ok().filter(|float: &f64| float.is_finite()).map(Value::Float))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_prints_what_it_was_parsed_from() {
        let all = [
            "stop()",
            "get(*profiles)",
            "download_git(src, refspec, dst=None, timeout=0, depth=1)",
            "begin_handover(fdtx_dir='/tmp/ave')",
            "f(_a, b2=True, c=False, d=-1, e='', f=[], *rest)",
            "set_position(latitude, altitude=-0.5)",
        ];
        for notation in all {
            assert_eq!(Signature::parse(notation).to_string(), notation);
        }
        assert_eq!(Signature::parse("f( a,b=1 )").to_string(), "f(a, b=1)");
    }

    #[test]
    fn bad_notation_says_what_is_wrong() {
        let all = [
            ("f", "name(parameters)"),
            ("(a)", "method's name"),
            ("f(a,)", "\"\" is no identifier"),
            ("f(1a)", "\"1a\" is no identifier"),
            ("f(a=1.5.2)", "1.5.2 is no default"),
            ("f(a=1e5)", "1e5 is no default"),
            ("f(a=inf)", "inf is no default"),
            ("f(a, a)", "two parameters are named a"),
            ("f(a, *a)", "two parameters are named a"),
            ("f(a='it's')", "is no default"),
            ("f(*a, b)", "*rest comes last"),
            ("f(a=1, b)", "after those without"),
            ("f(**named)", "is no identifier"),
        ];
        for (notation, wanted) in all {
            let error = notation.parse::<Signature>().unwrap_err();
            assert!(error.contains(wanted) && error.contains(notation), "{error}");
        }
    }
}
