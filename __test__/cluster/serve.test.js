'use strict'

// Unmodified Node servers as cluster workers: what they listen on, who serves, and what the API says of them.

const assert = require('node:assert/strict')
const dgram = require('node:dgram')
const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const tls = require('node:tls')
const { test } = require('node:test')

const { clientWithBus, interpreter, startCluster } = require('../support/cluster.js')
const { fixture, waitFor } = require('../support/home.js')
const { request, startLoad } = require('../support/load.js')

for (const instances of [2, 4]) {
  // Under load a worker that the machine leaves waiting is passed over, so no share is asserted here: the rules of turns are
  // proven in src/daemon/cluster/tests/fairness.rs, and exactly, one connection at a time, in the next test.
  test(`${instances} workers share a port and the work`, async (t) => {
    const { port, pids } = await startCluster(t, { instances })
    assert.equal(pids.length, instances)
    const load = startLoad({ t, port, clients: 6 })
    await waitFor(() => load.requests >= 400 && load.answers.size === instances, 'each worker has served')
    const { failures, answers } = await load.stop()
    assert.deepEqual(failures, [])
    assert.deepEqual([...answers.keys()].map(Number).sort(), [...pids].sort())
  })

  test(`${instances} workers in turns, one connection at a time`, async (t) => {
    const { port, pids } = await startCluster(t, { instances })
    const served = []
    for (let round = 0; round < 25 * instances; round++) {
      served.push(Number(await request({ port, agent: false })))
    }
    const order = served.slice(0, instances)
    assert.deepEqual([...order].sort(), [...pids].sort())
    assert.deepEqual(
      served,
      served.map((_, index) => order[index % instances]),
    )
  })
}

test('what start gives, and what list shows', async (t) => {
  const { pm2, started } = await startCluster(t, { instances: 2 })
  for (const [index, one] of started.entries()) {
    assert.equal(one.pm2_env.exec_mode, 'cluster_mode')
    assert.equal(one.pm2_env.pm_id, index)
    assert.equal(one.state, 'online')
    assert.equal(one.process.pid, (await pm2.describe(index))[0].pid)
  }
  const list = await pm2.list()
  assert.deepEqual(
    list.map((app) => [app.pm2_env.status, app.pm2_env._pm2_version, app.pm2_env.NODE_APP_INSTANCE]),
    [
      ['online', '7.0.4', 0],
      ['online', '7.0.4', 1],
    ],
  )
})

test('listen(0) by order, UDP, a port twice, a foreign address', async (t) => {
  const context = await clientWithBus(t)
  const { pm2, said } = context
  await pm2.start({ script: fixture('cluster/ports.js'), name: 'ports', instances: 2, ...interpreter })
  const [one, two] = await waitFor(() => said('listen:all').length === 2 && said('listen:all'))
  for (const worker of [one, two]) {
    assert.deepEqual([worker.twice, worker.foreign], ['EADDRINUSE', 'EADDRNOTAVAIL'])
  }
  assert.deepEqual([one.first, one.second, one.udp], [two.first, two.second, two.udp])
  assert.notEqual(one.first, one.second)
  assert.match(await request({ port: one.second }), /^second \d+$/)
  const socket = dgram.createSocket('udp4')
  t.after(() => socket.close())
  const answer = await new Promise((resolve) => {
    socket.on('message', (message) => resolve(`${message}`))
    socket.send('hello', one.udp, '127.0.0.1')
  })
  assert.ok([`hello ${one.pid}`, `hello ${two.pid}`].includes(answer), answer)
})

test('a port that is taken is an error in each worker, and served once it is free', async (t) => {
  const context = await clientWithBus(t)
  const other = net.createServer().listen(0)
  t.after(() => other.close())
  await new Promise((resolve) => other.once('listening', resolve))
  const { port } = other.address()
  await context.pm2.start({
    script: fixture('cluster/http.js'),
    name: 'late',
    instances: 2,
    ...interpreter,
    env: { PORT: port },
  })
  const errors = await waitFor(() => context.said('listen:error').length === 2 && context.said('listen:error'))
  for (const error of errors) assert.deepEqual(error, { code: 'EADDRINUSE', syscall: 'bind' })
  await new Promise((resolve) => other.close(resolve))
  await context.pm2.restart('late')
  await waitFor(() => context.said('listen:port').length === 2)
  assert.match(await request({ port }), /^\d+$/)
})

test('a unix path, which is removed at the end', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const socketPath = path.join(folder, 'app.sock')
  const { pm2, pids } = await startCluster(t, { instances: 2, env: { PORT: socketPath } })
  const load = startLoad({ t, socketPath })
  await waitFor(() => load.requests >= 60)
  const { failures, answers } = await load.stop()
  assert.deepEqual(failures, [])
  assert.deepEqual([...answers.keys()].map(Number).sort(), [...pids].sort())
  await pm2.reload('web')
  assert.match(await request({ socketPath }), /^\d+$/)
  await pm2.delete('web')
  assert.ok(!fs.existsSync(socketPath))
})

test('two apps do not share a port', async (t) => {
  const first = await startCluster(t, { instances: 1 })
  await first.pm2.start({
    script: fixture('cluster/http.js'),
    name: 'other',
    instances: 1,
    ...interpreter,
    env: { PORT: first.port },
  })
  const [error] = await waitFor(() => first.said('listen:error').length === 1 && first.said('listen:error'))
  assert.equal(error.code, 'EADDRINUSE')
})

test('TLS sessions resume across workers', async (t) => {
  const { port } = await startCluster(t, { script: fixture('cluster/https.js'), instances: 2 })
  let session
  const pids = new Set()
  for (let round = 0; round < 6; round++) {
    const [pid, reused] = await new Promise((resolve, reject) => {
      let text = ''
      const socket = tls.connect({ port, session, rejectUnauthorized: false, maxVersion: 'TLSv1.2' }, () => {
        session = socket.getSession()
        socket.write('GET / HTTP/1.0\r\n\r\n')
      })
      socket.on('error', reject)
      socket.on('data', (data) => {
        text += data
      })
      socket.on('end', () => resolve(text.split('\r\n\r\n')[1].split(' ')))
    })
    pids.add(pid)
    assert.equal(reused, `${round > 0}`)
  }
  assert.equal(pids.size, 2)
})

test('sticky: one address, one worker; and it moves on when that one dies', async (t) => {
  const { pm2, port } = await startCluster(t, { instances: 4, sticky: true, autorestart: false })
  const ask = async () => Number(await request({ port }))
  const first = await ask()
  for (let round = 0; round < 20; round++) assert.equal(await ask(), first)
  process.kill(first, 'SIGKILL')
  await waitFor(async () => (await pm2.list()).some((app) => app.pm2_env.status === 'stopped'))
  assert.notEqual(await ask(), first)
})

test('scale up serves at once, scale down loses nothing', async (t) => {
  const context = await startCluster(t, { instances: 1 })
  const { pm2, port, said } = context
  const load = startLoad({ t, port, clients: 4 })
  await pm2.scale('web', 4)
  await waitFor(() => said('listen:port').length === 4)
  const pids = said('listen:port').map(({ pid }) => `${pid}`)
  await waitFor(() => pids.every((pid) => load.answers.has(pid)), 'each worker has served')
  await pm2.scale('web', 1)
  const seen = load.requests
  await waitFor(() => load.requests >= seen + 30)
  const { failures } = await load.stop()
  assert.deepEqual(failures, [])
  assert.equal((await pm2.list()).length, 1)
})
