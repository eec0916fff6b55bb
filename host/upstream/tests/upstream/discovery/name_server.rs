//! A name server that says what a test wants.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};
use tokio::{net::UdpSocket, task::AbortHandle};

/// What is said to a question.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// These, with this time to live in seconds.
    Records(Vec<RData>, u32),
    /// The name is there, but has no such record.
    None,
    /// There is no such name.
    NoName,
    /// The server cannot say.
    Error,
    /// Bytes that are no answer.
    Garbage,
    /// Nothing.
    Silence,
}

/// A real name server on this machine, over UDP.
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    replies: Arc<Mutex<HashMap<(Name, RecordType), Reply>>>,
    asked: Arc<Mutex<Vec<Name>>>,
    task: AbortHandle,
}

impl NameServer {
    pub(super) async fn bind() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let replies = Arc::<Mutex<HashMap<(Name, RecordType), Reply>>>::default();
        let asked = Arc::<Mutex<Vec<Name>>>::default();
        let (known, noted) = (replies.clone(), asked.clone());
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let query = &question.queries[0];
                noted.lock().unwrap().push(query.name().to_lowercase());
                let key = (query.name().to_lowercase(), query.query_type());
                let reply = known.lock().unwrap().get(&key).cloned().unwrap_or(Reply::None);
                if let Some(answer) = answer(&question, reply) {
                    socket.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        Self { address, replies, asked, task: task.abort_handle() }
    }

    /// From now on it says this.
    pub(super) fn says(&self, name: &str, kind: RecordType, reply: Reply) {
        let name = Name::from_ascii(name).unwrap();
        self.replies.lock().unwrap().insert((name, kind), reply);
    }

    /// How many questions came.
    pub(super) fn questions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    pub(super) fn asked_for(&self, name: &str) -> bool {
        self.asked.lock().unwrap().contains(&Name::from_ascii(name).unwrap())
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(question: &Message, reply: Reply) -> Option<Vec<u8>> {
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    let query = question.queries[0].clone();
    message.add_query(query.clone());
    match reply {
        Reply::Records(records, ttl) => {
            let record = |data| Record::from_rdata(query.name().clone(), ttl, data);
            message.add_answers(records.into_iter().map(record));
        }
        Reply::None => {}
        Reply::NoName => message.metadata.response_code = ResponseCode::NXDomain,
        Reply::Error => message.metadata.response_code = ResponseCode::ServFail,
        Reply::Garbage => return Some(vec![0xff; 40]),
        Reply::Silence => return None,
    }
    Some(message.to_vec().unwrap())
}
