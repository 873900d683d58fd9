// nodemailer's pool, for `make bench-client`: node client_nodemailer.cjs FOLDER PORT MESSAGES CONNECTIONS
// FOLDER has nodemailer in its node_modules. Prints one line of JSON, as client_senders.py does.

const [folder, port, messages, connections] = process.argv.slice(2);
const nodemailer = require(`${folder}/node_modules/nodemailer`);

const line = "X".repeat(78) + "\r\n";
const raw =
  "From: app@example.com\r\nTo: someone@example.org\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n" +
  "Message-Id: <1.2@example.com>\r\nSubject: A message of four KiB\r\n\r\n" + line.repeat(51);
const envelope = { from: "app@example.com", to: ["someone@example.org"] };

async function send(count) {
  const pool = nodemailer.createTransport({
    host: "127.0.0.1", port: Number(port), ignoreTLS: true, pool: true,
    maxConnections: Number(connections), maxMessages: Infinity,
  });
  let left = count;
  const work = async () => {
    while (left-- > 0) await pool.sendMail({ envelope, raw });
  };
  await Promise.all(Array.from({ length: 2 * Number(connections) }, work));
  pool.close();
}

(async () => {
  await send(200);
  const started = process.hrtime.bigint();
  const used = process.cpuUsage();
  await send(Number(messages));
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const now = process.cpuUsage(used);
  console.log(JSON.stringify({ seconds, cpu: (now.user + now.system) / 1e6 }));
})().catch((fault) => { console.error(fault); process.exit(1); });
