//! A program for `--stdio`: does what the lines of its input say; `README.md` beside the workspace lists them. With `?frames` in its request
//! it sends frames back as they are.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    if std::env::var("QUERY_STRING").is_ok_and(|query| query == "frames") {
        return frames();
    }
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match command {
            "exit" if rest == "0" => return Ok(ExitCode::SUCCESS),
            "exit" => return Ok(ExitCode::FAILURE),
            "trap" => panic!("asked to trap"),
            "spin" => loop {
                std::hint::spin_loop();
            },
            "stderr" => eprintln!("{rest}"),
            "variable" => println!("{}", std::env::var(rest).unwrap_or_default()),
            "raw" => {
                io::stdout().write_all(&[0xff, b'\n'])?;
            }
            "unended" => {
                print!("{rest}");
                io::stdout().flush()?;
                return Ok(ExitCode::SUCCESS);
            }
            // A line, byte by byte.
            "dribble" => {
                let mut output = io::stdout().lock();
                for _ in 0..rest.parse().unwrap_or(0) {
                    output.write_all(b"x")?;
                    output.flush()?;
                }
                output.write_all(b"\n")?;
            }
            "flood" => {
                let line = "x".repeat(999);
                for _ in 0..rest.parse().unwrap_or(0) {
                    println!("{line}");
                }
                println!("over");
            }
            // What is sent meanwhile waits.
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_millis(rest.parse().unwrap_or(0)))
            }
            _ => println!("{line}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn frames() -> io::Result<ExitCode> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut header = [0; 5];
    while input.read_exact(&mut header).is_ok() {
        let [_, length @ ..] = header;
        let length = u64::from(u32::from_be_bytes(length));
        output.write_all(&header)?;
        io::copy(&mut (&mut input).take(length), &mut output)?;
        output.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}
