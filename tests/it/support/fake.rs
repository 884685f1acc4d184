//! A server that says what a test tells it to, and remembers what it was asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// The answer to one request.
#[derive(Clone)]
pub enum Reply {
    /// A status, headers and a body.
    Http(u16, Vec<(&'static str, String)>, String),
    /// Nothing: the connection closes.
    Hangup,
}

impl Reply {
    pub fn json(status: u16, body: &str) -> Self {
        Self::Http(status, Vec::new(), body.to_owned())
    }

    pub fn refusal(status: u16, code: &str, message: &str) -> Self {
        Self::json(
            status,
            &format!(
                r#"{{"statusCode":{status},"error":"x","code":"{code}","message":"{message}","requestId":"x"}}"#
            ),
        )
    }

    pub fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Http(status, headers, body) => {
                Self::Http(status, [headers, vec![(name, value.to_owned())]].concat(), body)
            }
            Self::Hangup => Self::Hangup,
        }
    }
}

type Script = dyn Fn(&str, usize) -> Reply + Send + Sync;

/// A running fake.
pub struct Fake {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// `script` gets a request's `METHOD /path` and how often that one came before.
    pub fn start(script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script, record): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, record) = (Arc::clone(&script), Arc::clone(&record));
                std::thread::spawn(move || serve(stream, &*script, &record));
            }
        });
        Self { url, asked }
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub fn count(&self, request: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == request).count()
    }
}

fn serve(stream: TcpStream, script: &Script, record: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read(&mut reader) {
        let before = {
            let mut record = record.lock().unwrap();
            record.push(request.clone());
            record.iter().filter(|asked| **asked == request).count() - 1
        };
        let Reply::Http(status, headers, body) = script(&request, before) else { return };
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if request.is_empty() {
            request = line.rsplit_once(' ')?.0.to_owned();
        } else if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().ok()?;
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(request)
}
