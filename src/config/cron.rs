//! Whether a text is a cron pattern that croner 4, pm2's library, accepts (contract/options.md section 2.2).
//!
//! Owns: the check at the caller, so that a wrong pattern is refused before anything starts. Does not own: when a pattern is
//! due (the daemon).

/// The fields from seconds to weekdays: word in messages, lowest and highest value, names that stand for numbers.
const FIELDS: [(&str, u32, u32, &[&str]); 6] = [
    ("seconds", 0, 59, &[]),
    ("minutes", 0, 59, &[]),
    ("hours", 0, 23, &[]),
    ("days", 1, 31, &[]),
    ("months", 1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    ("daysOfWeek", 0, 7, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// Refuses what is no pattern, with the library's words after `Cron pattern error: `.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    let entries: Vec<&str> = pattern.split_whitespace().collect();
    let skipped = match entries.len() {
        5 => 1,
        6 => 0,
        _ => {
            // The misspelt word is the library's, and programs compare it.
            return Err(format!(
                "CronPattern: invalid configuration format ('{pattern}'), exacly five or six space separated parts required."
            ));
        }
    };
    for ((position, field), entry) in FIELDS.iter().enumerate().skip(skipped).zip(entries) {
        check_entry(position, field, entry)?;
    }
    Ok(())
}

fn check_entry(position: usize, field: &(&str, u32, u32, &[&str]), entry: &str) -> Result<(), String> {
    let (word, _, _, names) = field;
    // `?` means `*`, and the last day of the month is `L`, alone.
    if entry == "?" || (*word == "days" && entry.eq_ignore_ascii_case("L")) {
        return Ok(());
    }
    let mut numbers = entry.to_lowercase();
    for (index, name) in names.iter().enumerate() {
        let value = if *word == "months" { index + 1 } else { index };
        numbers = numbers.replace(name, &value.to_string());
    }
    if !numbers.bytes().all(|b| b.is_ascii_digit() || b"/*,-".contains(&b)) {
        return Err(format!("CronPattern: configuration entry {position} ({entry}) contains illegal characters."));
    }
    // Neither can a plain range, whatever the message says (recorded).
    if numbers.contains(',') && (numbers.contains('/') || numbers.contains('-')) {
        return Err("CronPattern: Range with stepping cannot coexist with ,".to_owned());
    }
    let listed = numbers.bytes().any(|b| b.is_ascii_digit());
    numbers.split(',').try_for_each(|part| check_part(field, part, listed))
}

fn check_part(field: &(&str, u32, u32, &[&str]), part: &str, listed: bool) -> Result<(), String> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    if let Some(step) = step {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let whole = range.split_once('-').is_none_or(|(from, to)| digits(from) && digits(to) && digits(step));
        if !whole {
            return Err(format!("CronPattern: Syntax error, illegal range with stepping: '{part}'"));
        }
        check_step(field, part, step)?;
    }
    if range == "*" {
        return Ok(());
    }
    match range.split_once('-') {
        Some((_, to)) if to.contains('-') => Err(format!("CronPattern: Syntax error, illegal range: '{part}'")),
        Some((from, to)) => {
            let bound = |text: &str, which: &str| {
                text.parse::<u32>().map_err(|_| format!("CronPattern: Syntax error, illegal {which} range (NaN)"))
            };
            let (low, high) = (bound(from, "lower")?, bound(to, "upper")?);
            if low < field.1 || high > field.2 {
                return Err(format!("CronPattern: Value out of range: '{part}'"));
            }
            if low > high {
                return Err(format!("CronPattern: From value is larger than to value: '{part}'"));
            }
            Ok(())
        }
        // `1,` is 0 and 1 to the library, and `/5` is `0/5`; nothing at all is refused here.
        None if range.is_empty() && (step.is_some() || listed) => in_range(field, 0, range),
        None => range.parse().map_err(|_| out_of_range(field, range)).and_then(|n| in_range(field, n, range)),
    }
}

fn check_step(field: &(&str, u32, u32, &[&str]), part: &str, step: &str) -> Result<(), String> {
    if step.contains('/') {
        return Err(format!("CronPattern: Syntax error, illegal stepping: '{part}'"));
    }
    let n: u32 = step.parse().map_err(|_| "CronPattern: Syntax error, illegal stepping: (NaN)".to_owned())?;
    let (_, low, high, _) = field;
    let size = high - low + 1;
    match n {
        0 => Err("CronPattern: Syntax error, illegal stepping: 0".to_owned()),
        n if n > size => {
            Err(format!("CronPattern: Syntax error, steps cannot be greater than maximum value of part ({size})"))
        }
        _ => Ok(()),
    }
}

fn in_range(field: &(&str, u32, u32, &[&str]), n: u32, text: &str) -> Result<(), String> {
    if (field.1..=field.2).contains(&n) { Ok(()) } else { Err(out_of_range(field, text)) }
}

fn out_of_range(field: &(&str, u32, u32, &[&str]), text: &str) -> String {
    format!("CronPattern: {} value out of range: '{text}'", field.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::check;

    #[test]
    fn patterns_of_five_and_six_fields_are_accepted() {
        for good in
            ["0 0 * * *", "*/5 * * * * *", "0 9 * JAN-mar mon-FRI", "0 0 L * *", "0 0 ? * 1,3,5", "1-10/2 0 * * 7"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in [
            "",
            "* * *",
            "99 * * * *",
            "0 0 0 * *",
            "x * * * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "1-5/2,7 * * * *",
            "1,3-5 * * * *",
            "** * * * *",
            ", * * * *",
            "@daily",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in any::<String>()) {
            let _ = check(&text);
        }
    }
}
