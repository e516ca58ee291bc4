'use strict'
// Records what the STOCK pm2 client sends to a daemon for many combinations of options, by running it as a black box
// against a tiny fake daemon. Writes __test__/oracle/prepare_vectors.json, which src/config/oracle_tests.rs replays.
//
//   node scripts/record_prepare.js          all cases
//   node scripts/record_prepare.js NAME     prints the cases whose name contains NAME, writes nothing
//
// Every case runs in a fresh Node process, because pm2 keeps hidden state in its process (contract/api.md Q8).

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')

const { cases, files, yaml } = require('./prepare_cases/index.js')

const RECORDED = new Set(['prepare', 'restartProcessId', 'reloadProcessId', 'startProcessId'])

function frame(args) {
  const parts = [Buffer.from([0x10 | args.length])]
  for (const arg of args) {
    const body = Buffer.from(typeof arg === 'string' ? `s:${arg}` : `j:${JSON.stringify(arg)}`)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(body.length)
    parts.push(length, body)
  }
  return Buffer.concat(parts)
}

// Takes one frame off the front: [arguments, rest], or undefined while it is not complete.
function unframe(data) {
  if (data.length < 1) return undefined
  const args = []
  let at = 1
  for (let n = data[0] & 15; n > 0; n--) {
    if (data.length < at + 4) return undefined
    const length = data.readUInt32BE(at)
    if (data.length < at + 4 + length) return undefined
    const text = data.toString('utf8', at + 4, at + 4 + length)
    args.push(text.startsWith('j:') ? JSON.parse(text.slice(2)) : text.slice(2))
    at += 4 + length
  }
  return [args, data.subarray(at)]
}

function fakeDaemon(socket, existing, calls) {
  const answer = (message) => {
    if (message.type === 'methods') {
      const names =
        'ping getVersion getMonitorData getSystemData prepare restartProcessId reloadProcessId startProcessId stopWatch notifyByProcessId msgProcess deleteProcessId stopProcessId killMe'
      return { methods: Object.fromEntries(names.split(' ').map((name) => [name, { name, params: ['cb'] }])) }
    }
    if (RECORDED.has(message.method)) calls.push({ method: message.method, args: message.args })
    if (message.method === 'ping') return { args: [{ msg: 'pong' }] }
    if (message.method === 'getVersion') return { args: ['7.0.4'] }
    if (message.method === 'getMonitorData') return { args: [existing] }
    if (message.method === 'prepare') return { args: [[]] }
    if (RECORDED.has(message.method)) return { args: [existing[0]] }
    return { args: [{}] }
  }
  const server = net.createServer((connection) => {
    let data = Buffer.alloc(0)
    connection.on('error', () => {})
    connection.on('data', (chunk) => {
      data = Buffer.concat([data, chunk])
      for (let next = unframe(data); next; next = unframe(data)) {
        data = next[1]
        const [message, id] = next[0]
        connection.write(frame([answer(message), id]))
      }
    })
  })
  return new Promise((resolve) => server.listen(socket, () => resolve(server)))
}

function makeFiles(dir) {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(dir, name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, Buffer.from(content, 'latin1'))
    if (name.startsWith('bin/')) fs.chmodSync(file, 0o755)
  }
}

const replaceAll = (value, pairs) =>
  JSON.parse(
    pairs.reduce((text, [from, to]) => text.split(JSON.stringify(from).slice(1, -1)).join(to), JSON.stringify(value)),
  )

async function record(one) {
  const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-record-')))
  makeFiles(dir)
  const home = path.join(dir, 'pm2home')
  fs.mkdirSync(home)
  if (one.module_conf) fs.writeFileSync(path.join(home, 'module_conf.json'), JSON.stringify(one.module_conf))
  const calls = []
  const unmask = [['{dir}', dir]]
  const existing = (one.existing ?? []).map((p) => ({
    pid: 1,
    name: p.name,
    pm_id: p.pm_id,
    monit: {},
    pm2_env: { status: 'online', namespace: 'default', ...p },
  }))
  const server = await fakeDaemon(path.join(home, 'rpc.sock'), replaceAll(existing, unmask), calls)
  const env = {
    PATH: path.join(dir, 'bin'),
    HOME: path.join(dir, 'user'),
    PM2_HOME: home,
    ...replaceAll(one.env ?? {}, unmask),
  }
  const program = `
    const pm2 = require(${JSON.stringify(require.resolve('pm2'))});
    const input = JSON.parse(process.argv[1]);
    const end = (result) => { process.send({ result, env: process.env }, () => process.exit(0)) };
    const text = (err) => err == null ? null : [].concat(err).map((e) => String(e.message ?? e));
    process.on('uncaughtException', (e) => end({ thrown: String(e.message) }));
    pm2.connect((err) => {
      if (err) return end({ thrown: 'connect: ' + err.message });
      (input.before ? (next) => pm2.start(input.before, () => next()) : (next) => next())(() => {
        try { pm2[input.call](...input.args, (err) => end({ errors: text(err) })) } catch (e) { end({ thrown: String(e.message) }) }
      });
    });`
  const child = spawn(
    process.execPath,
    [
      '-e',
      program,
      '--',
      JSON.stringify(replaceAll({ call: one.call ?? 'start', args: one.args, before: one.before }, unmask)),
    ],
    {
      cwd: path.join(dir, one.cwd ?? 'app'),
      env,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    },
  )
  const ended = await new Promise((resolve) => {
    const limit = setTimeout(() => child.kill('SIGKILL'), 30000)
    let message = { result: { thrown: 'no answer' } }
    child.on('message', (m) => {
      message = m
    })
    child.on('exit', () => {
      clearTimeout(limit)
      resolve(message)
    })
  })
  server.close()
  fs.rmSync(dir, { recursive: true, force: true })
  const mask = [
    [path.dirname(require.resolve('pm2/package.json')), '{pm2}'],
    [dir, '{dir}'],
    [process.execPath, '{node}'],
  ]
  return replaceAll(
    { name: one.name, ...one, cwd: one.cwd ?? 'app', call: one.call ?? 'start', calls, ...ended.result },
    mask,
  )
}

async function main() {
  const filter = process.argv[2]
  const recorded = []
  for (const one of cases.filter((c) => !filter || c.name.includes(filter))) {
    recorded.push(await record(one))
    process.stderr.write('.')
  }
  process.stderr.write('\n')
  const reader = require(require.resolve('js-yaml', { paths: [path.dirname(require.resolve('pm2/package.json'))] }))
  const documents = yaml.map((text) => {
    try {
      return { text, value: reader.load(text) }
    } catch {
      return { text, error: true }
    }
  })
  const output = {
    note: 'written by scripts/record_prepare.js: stock pm2 client, black box; do not edit',
    pm2: '7.0.4',
    node: process.versions.node,
    files,
    yaml: documents,
    cases: recorded,
  }
  if (filter) return console.log(JSON.stringify(recorded, null, 1))
  fs.writeFileSync(
    path.join(__dirname, '../__test__/oracle/prepare_vectors.json'),
    `${JSON.stringify(output, null, 1)}\n`,
  )
}

main()
