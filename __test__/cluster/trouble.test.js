'use strict'

// Workers, and the daemon itself, that die under load; descriptors that must not be left open.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const net = require('node:net')
const { once } = require('node:events')
const { test } = require('node:test')

const { startCluster } = require('../support/cluster.js')
const { fixture, isAlive, waitFor } = require('../support/home.js')
const { startLoad } = require('../support/load.js')

/** Pids of keeper and daemon. */
function processes(pm2) {
  const keeper = Number(fs.readFileSync(`${pm2.home}/pm2.pid`, 'latin1'))
  const children = fs.readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'latin1').split(' ').filter(Boolean)
  const daemon = children.map(Number).find((pid) => /^pm2d/.test(fs.readFileSync(`/proc/${pid}/comm`, 'latin1')))
  return { keeper, daemon }
}

/** What `look` gives when it has given the same for half a second. */
async function steady(look) {
  let [last, since] = ['', 0]
  return waitFor(() => {
    const now = look()
    if (`${now}` !== last) {
      last = `${now}`
      since = Date.now()
    }
    return Date.now() - since > 500 && now
  })
}

const descriptors = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length

test('workers killed under load: only requests in flight in them fail, and none hangs', async (t) => {
  const CLIENTS = 6
  const { pm2, port } = await startCluster(t, { instances: 4, max_restarts: 1000, min_uptime: 0 })
  const load = startLoad({ t, port, clients: CLIENTS, timeout: 5000 })
  const KILLS = 8
  for (let kill = 0; kill < KILLS; kill++) {
    const seen = load.requests
    await waitFor(() => load.requests >= seen + 40)
    const online = (await pm2.list()).filter((app) => app.pid > 0 && app.pm2_env.status === 'online')
    process.kill(online[kill % online.length].pid, 'SIGKILL')
  }
  const { failures, requests } = await load.stop()
  t.diagnostic(`${requests} requests, ${KILLS} kills: ${failures.length} failed`)
  assert.ok(failures.length <= KILLS * CLIENTS, failures.join('\n'))
  assert.deepEqual(
    failures.filter((failure) => !/ECONNRESET|socket hang up/.test(failure)),
    [],
  )
})

test('a stopped worker costs nothing: its connection goes to another when it is killed', async (t) => {
  const { pm2, port, pids } = await startCluster(t, { instances: 2, autorestart: false })
  process.kill(pids[0], 'SIGSTOP')
  const load = startLoad({ t, port, clients: 4, timeout: 20_000 })
  await waitFor(() => load.requests >= 60)
  process.kill(pids[0], 'SIGKILL')
  await waitFor(async () => (await pm2.list()).some((app) => app.pm2_env.status === 'stopped'))
  const seen = load.requests
  await waitFor(() => load.requests >= seen + 30)
  const { failures } = await load.stop()
  assert.deepEqual(failures, [])
})

test('no descriptor is left open by connections, reloads and restarts', async (t) => {
  const { pm2, port } = await startCluster(t, { instances: 2 })
  const { keeper, daemon } = processes(pm2)
  const round = async () => {
    const load = startLoad({ t, port, clients: 8 })
    await waitFor(() => load.requests >= 500)
    const { failures } = await load.stop()
    assert.deepEqual(failures, [])
    await pm2.reload('web')
  }
  await round()
  const counted = () => [descriptors(keeper), descriptors(daemon)]
  const before = await waitFor(counted)
  await round()
  await pm2.restart('web')
  await waitFor(() => counted().every((count, index) => count <= before[index]), `as few descriptors as ${before}`)
})

/** Opens so many connections, one after the other, and drops them: unused, half way through a request, or by a reset. */
async function dropConnections(port, count) {
  for (let index = 0; index < count; index++) {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    if (index % 3 === 1) socket.write('GET / HTTP/1.1\r\nHo')
    if (index % 3 === 2) {
      socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      socket.resetAndDestroy?.()
    }
    socket.destroy()
  }
}

test('connections that come to nothing leave no descriptor open, reloads meanwhile or not', async (t) => {
  const { pm2, port } = await startCluster(t, { instances: 2 })
  const { keeper, daemon } = processes(pm2)
  await dropConnections(port, 30)
  await pm2.reload('web')
  const counted = () => [descriptors(keeper), descriptors(daemon)]
  // Until nothing of the reload is under way any more.
  const before = await steady(counted)
  let isDropping = true
  const dropped = dropConnections(port, 900).finally(() => {
    isDropping = false
  })
  while (isDropping) await pm2.reload('web')
  await dropped
  await waitFor(() => counted().every((count, index) => count <= before[index]), `as few descriptors as ${before}`)
})

test('the daemon is killed under load: its workers go on, and so do reloads', async (t) => {
  const { pm2, port, pids } = await startCluster(t, { instances: 2 })
  const load = startLoad({ t, port, clients: 6 })
  for (let kill = 0; kill < 3; kill++) {
    const seen = load.requests
    await waitFor(() => load.requests >= seen + 60)
    const { daemon } = processes(pm2)
    process.kill(daemon, 'SIGKILL')
    await waitFor(() => {
      const now = processes(pm2).daemon
      return now !== undefined && now !== daemon
    }, 'a next daemon')
  }
  const seen = load.requests
  await waitFor(() => load.requests >= seen + 60)
  for (const pid of pids) assert.ok(isAlive(pid))
  await pm2.reload('web')
  const after = load.requests
  await waitFor(() => load.requests >= after + 60)
  const { failures, requests, answers } = await load.stop()
  t.diagnostic(`${requests} requests, 3 deaths of the daemon: ${failures.length} failed`)
  // What was accepted and not yet with a worker outlives the daemon (docs/design/recovery.md).
  assert.deepEqual(failures, [])
  assert.equal(answers.size, 4)
})

test('messages between connections: each descriptor goes with its own', async (t) => {
  const { pm2, said, port, pids, started } = await startCluster(t, {
    script: fixture('cluster/listener.js'),
    instances: 2,
  })
  const load = startLoad({ t, port, clients: 16 })
  await waitFor(() => load.answers.size === pids.length)
  // Around the 64 KiB that Node reads at a time: where a read ends inside the line of a connection, Node gives it the
  // descriptor of the next one, if there may be a next one.
  const sizes = [10, 40_000, 64_000, 65_400, 65_480, 65_536, 70_000, 200_000]
  for (let round = 0; round < 12; round++) {
    const sent = sizes.flatMap((size) =>
      started.map(({ pm_id }) => pm2.sendDataToProcessId(pm_id, { topic: 'text', data: 'x'.repeat(size + round * 7) })),
    )
    await Promise.all(sent)
    await waitFor(() => said('text:heard').length === (round + 1) * sizes.length * pids.length, `messages of ${round}`)
  }
  const { failures, answers } = await load.stop()
  assert.deepEqual(failures, [])
  assert.equal(answers.size, pids.length)
  for (const pid of pids) assert.ok(isAlive(pid))
})
