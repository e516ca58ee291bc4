// The HTTP app of the cluster metrics: under a process manager, or under a primary of Node's own.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { until } from './until.mjs'

const tls = fileURLToPath(new URL('../../__test__/fixtures/cluster/pair.js', import.meta.url))

/** Answers with its pid; says in WEB_FILE that it listens: pid and port. */
const app = `
const said = () => require('node:fs').appendFileSync(process.env.WEB_FILE, process.pid + ' ' + server.address().port + '\\n')
const answer = (_request, response) => process.env.WEB_MS ? setTimeout(() => response.end(body), Math.random() * process.env.WEB_MS) : response.end(body)
const body = String(process.pid)
const { createServer } = require(process.env.WEB_TLS ? 'node:https' : 'node:http')
const server = createServer(process.env.WEB_TLS ? require(process.env.WEB_TLS) : {}, answer).listen(0, '127.0.0.1', said)
if (process.env.WEB_CONNECTIONS) {
  const file = require('node:fs').openSync(process.env.WEB_CONNECTIONS, 'a')
  // Before the worker says that it takes the connection: from then on it is in flight in this process.
  process.prependListener('internalMessage', (_message, handle) => {
    const peer = {}
    if (handle?.getpeername?.(peer) === 0) require('node:fs').writeSync(file, process.pid + ' ' + peer.port + '\\n')
  })
}
`

const primary = `
const cluster = require('node:cluster')
cluster.setupPrimary({ exec: process.argv[2] })
for (let left = Number(process.argv[3]); left > 0; left--) cluster.fork()
`

/** The environment of the app: milliseconds until it answers (up to), whether over TLS, where it notes connections. */
export const webEnv = ({ ms, secure = false, connections }) => ({
  ...(connections ? { WEB_CONNECTIONS: connections } : {}),
  ...(ms ? { WEB_MS: String(ms) } : {}),
  ...(secure ? { WEB_TLS: tls } : {}),
})

/** Pids and ports that were said so far, oldest first. */
export const listening = (home) => pairs(home, 'listening')

/** Pids, and the ports of the clients whose connections they were given. */
export const taken = (home) => pairs(home, 'taken')

function pairs(home, name) {
  return readFileSync(home.file(name), 'latin1')
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' ').map(Number))
}

function prepare(home, env) {
  home.write('listening', '')
  return { script: home.write('web.js', app), env: home.appEnv({ WEB_FILE: home.file('listening'), ...env }) }
}

async function port(home, workers) {
  await until(`${workers} workers to listen`, () => listening(home).length >= workers)
  return listening(home)[0][1]
}

/** Starts the app as a cluster of this peer; gives its port, the driver, and the processes that distribute. */
export async function webUnder(peer, tools, home, workers, { env, ...options } = {}) {
  const driver = await tools.driver(peer, home)
  const { script, env: whole } = prepare(home, env)
  await driver.call('start', { script, name: 'web', exec_mode: 'cluster', instances: workers, env: whole, ...options })
  const at = await port(home, workers)
  // Stock's workers have the daemon's own environment.
  const apps = new Set(listening(home).map(([pid]) => pid))
  return { driver, port: at, primary: home.daemonSide().filter((pid) => !apps.has(pid)) }
}

/** The same under Node's own `cluster` primary. It ends with the home. */
export async function webUnderNode(home, workers, { env } = {}) {
  const { script, env: whole } = prepare(home, env)
  const child = spawn(process.execPath, [home.write('primary.js', primary), script, workers], {
    env: home.env(whole),
    stdio: 'ignore',
    // In a session of its own, as a process manager's are: the scheduler shares time out between sessions.
    detached: true,
  })
  return { port: await port(home, workers), primary: [child.pid] }
}
