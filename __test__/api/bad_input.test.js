'use strict'

// Whatever comes in: an error in words to whoever sent it, the daemon lives, other apps are not touched.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { test } = require('node:test')

const { fixture, freshClient, isAlive, waitFor } = require('../support/home.js')

/** An AMP frame of these arguments, given as bytes. */
function frame(...args) {
  const parts = [Buffer.from([0x10 | args.length])]
  for (const arg of args) {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(arg.length)
    parts.push(length, Buffer.from(arg))
  }
  return Buffer.concat(parts)
}

/** Sends bytes to a socket of the home; answers what came back before it was closed, or within a moment of quiet. */
function talk(home, bytes, { until = () => false, name = 'rpc.sock' } = {}) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path.join(home, name))
    let answer = Buffer.alloc(0)
    const done = () => {
      socket.destroy()
      resolve(answer.toString('latin1'))
    }
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      if (until(answer.toString('latin1'))) done()
    })
    socket.on('error', (error) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? done() : reject(error)))
    socket.on('close', done)
    socket.write(bytes)
  })
}

async function withBystander(t) {
  const pm2 = freshClient(t)
  const [bystander] = await pm2.start({ script: fixture('forever.js'), name: 'bystander' })
  const daemon = (await pm2.Client.executeRemote?.('pm2rsInfo', {}))?.daemon_pid
  return {
    pm2,
    /** The daemon answers, is the same one, and the bystander runs untouched. */
    async unharmed() {
      const [seen] = await pm2.describe('bystander')
      assert.equal(seen.pid, bystander.pid)
      assert.equal(seen.pm2_env.restart_time, 0)
      assert.ok(isAlive(bystander.pid))
      if (daemon !== undefined) assert.ok(isAlive(daemon), 'the same daemon lives')
    },
  }
}

test('garbage instead of a frame closes that connection only', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  await talk(pm2.home, Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(50)))
  await unharmed()
})

test('a length of 4 GiB closes that connection at once', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  await talk(pm2.home, Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff, 0x41]))
  await unharmed()
})

test('a call of an unknown method is answered with its name', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  const call = JSON.stringify({ type: 'call', method: 'noSuchMethod', args: [{}] })
  const answer = await talk(pm2.home, frame(`j:${call}`, 's:1:1'), { until: (text) => text.includes('s:1:1') })
  assert.match(answer, /method \\"noSuchMethod\\" does not exist/)
  await unharmed()
})

test('invalid JSON, wrong types and three arguments are answered where there is an id', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  const requests = [
    'j:{"type":',
    'j:42',
    'j:[]',
    'j:{"type":"call"}',
    'j:{"type":"call","method":"ping","args":7}',
    'j:{"type":"call","method":"stopProcessId","args":[{"id":{}}]}',
    'j:{"type":"call","method":"prepare","args":["x"]}',
    'j:{"type":"call","method":"prepare","args":[{"name":7,"env":"x","pm_exec_path":[]}]}',
  ]
  for (const request of requests) {
    const answer = await talk(pm2.home, frame(request, 's:9:9'), { until: (text) => text.includes('s:9:9') })
    assert.match(answer, /"error"/, request)
    await unharmed()
  }
  const three = await talk(pm2.home, frame('j:{"type":"call","method":"ping","args":[{}]}', 's:x', 's:3:3'), {
    until: (text) => text.includes('s:3:3'),
  })
  assert.match(three, /"error"/)
  await unharmed()
})

test('garbage on the bus socket disturbs nobody', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  const socket = net.connect(path.join(pm2.home, 'pub.sock'))
  await new Promise((resolve) => socket.write(Buffer.alloc(100_000, 0xff), resolve))
  socket.destroy()
  await unharmed()
})

test('a config with a wrong type names the option and starts nothing', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  await assert.rejects(pm2.start({ script: fixture('forever.js'), name: 'bad', max_restarts: 'many' }), /max_restarts/)
  await assert.rejects(pm2.start({ script: fixture('forever.js'), name: 'bad', exec_mode: 'thread' }), /exec_mode/)
  assert.deepEqual(await pm2.describe('bad'), [])
  await unharmed()
})

test('a script that does not exist is named with its whole path', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  await assert.rejects(pm2.start('/nowhere/app.js'), { message: 'Script not found: /nowhere/app.js' })
  await unharmed()
})

test('a cwd that does not exist is an error of start, and the app is errored (Q15)', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  const error = await pm2.start({ script: fixture('forever.js'), name: 'lost', cwd: '/nowhere/at/all' }).then(
    () => assert.fail('it must not succeed'),
    (given) => (Array.isArray(given) ? given[0] : given),
  )
  assert.match(error.message, /\/nowhere\/at\/all/)
  for (const app of await pm2.describe('lost')) assert.equal(app.pm2_env.status, 'errored')
  await unharmed()
})

test('a file that cannot be executed is an error of start', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  const file = path.join(path.dirname(pm2.home), 'no-program')
  fs.writeFileSync(file, '\0\0\0\0', { mode: 0o644 })
  const error = await pm2.start({ script: file, name: 'no', interpreter: 'none' }).then(
    () => assert.fail('it must not succeed'),
    (given) => (Array.isArray(given) ? given[0] : given),
  )
  assert.match(error.message, /no-program/)
  await unharmed()
})

test('what an app sends as garbage over its channel harms only itself', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  const script = path.join(path.dirname(pm2.home), 'rude.js')
  fs.writeFileSync(
    script,
    "require('node:fs').writeSync(Number(process.env.RUDE_FD ?? 3), 'this is no JSON\\n{\"cmd\":\"NODE_HANDLE\"}\\n')\nconsole.log('was rude')\nsetInterval(() => {}, 1 << 30)\n",
  )
  const [app] = await pm2.start({ script, name: 'rude', pmx: false })
  await waitFor(() => fs.readFileSync(app.pm2_env.pm_out_log_path, 'utf8').includes('was rude'))
  await unharmed()
})

test('targets that name nothing are refused through the callback (Q18)', async (t) => {
  const { pm2, unharmed } = await withBystander(t)
  for (const target of [undefined, null, true, {}, [], '', '/[/']) {
    await assert.rejects(pm2.stop(target), Error, String(target))
  }
  await unharmed()
})
