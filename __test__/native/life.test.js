'use strict'

// What the addon does to the process it lives in, and to the daemon it launches.

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { fixture, freshHome, isAlive, pidsWithEnv, root, waitFor } = require('../support/home.js')

/** A script that has `client`, `run` and `home`; gives back the process and what it wrote so far. */
function script(home, body, { daemonMode = true } = {}) {
  const options = { home, daemonMode, pm2d: path.join(root, 'pm2d'), agent: path.join(root, 'lib', 'agent') }
  const source = `
    const { NativeClient } = require(${JSON.stringify(path.join(root, 'binding.js'))})
    const client = new NativeClient(${JSON.stringify(JSON.stringify(options))})
    const run = async (action, args) => {
      const answer = JSON.parse(await client.run(JSON.stringify({ action, ...args })))
      if (answer.error) throw new Error(answer.error.message)
      return answer.ok
    }
    const app = { config: [{ name: 'app', script: ${JSON.stringify(fixture('forever.js'))} }] }
    ;(async () => { ${body} })()`
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'pipe'] })
  const result = { child, out: '' }
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (result.out += data))
  result.ended = new Promise((resolve) =>
    child.on('close', (code, signal) => resolve({ code, signal, out: result.out })),
  )
  return result
}

async function kill(home) {
  const { out } = await script(home, `console.log(JSON.stringify(await run('killDaemon')))`).ended
  assert.equal(out, '{"success":true}\n')
}

test('many scripts that start at once share one daemon', async (t) => {
  const home = freshHome(t)
  const body = `console.log(JSON.stringify(await run('connect')))`
  const all = await Promise.all(Array.from({ length: 8 }, () => script(home, body).ended))
  const metas = all.map(({ out }) => JSON.parse(out))
  assert.equal(metas.filter((meta) => meta.new_pm2_instance).length, 1)
  assert.equal(pidsWithEnv(`PM2_HOME=${home}`).length, 2, 'one keeper and one daemon')
  await kill(home)
  assert.deepEqual(pidsWithEnv(`PM2_HOME=${home}`), [])
})

test('neither a connection nor a subscription keeps a process alive', async (t) => {
  const home = freshHome(t)
  const { code, out } = await script(home, `client.subscribe(() => {}); await run('connect'); console.log('connected')`)
    .ended
  assert.deepEqual([code, out], [0, 'connected\n'])
  await kill(home)
})

test('without daemon mode everything ends with the script, even by kill -9', async (t) => {
  const home = freshHome(t)
  const body = `await run('start', { target: app }); console.log('started'); setInterval(() => {}, 1e6)`
  const caller = script(home, body, { daemonMode: false })
  await waitFor(() => caller.out.includes('started\n'))
  const keeper = Number(fs.readFileSync(path.join(home, 'pm2.pid'), 'utf8'))
  const pids = pidsWithEnv(`PM2_HOME=${home}`)
  assert.ok(pids.includes(keeper) && pids.length === 3, 'keeper, daemon and app')
  caller.child.kill('SIGKILL')
  await waitFor(() => pids.every((pid) => !isAlive(pid)), 'all have ended')
})

test('what a listener throws is an uncaught exception, and the next events still come', async (t) => {
  const home = freshHome(t)
  const body = `
    await run('connect')
    process.on('uncaughtException', (error) => console.log('uncaught', error.message))
    const alive = setInterval(() => {}, 1e6)
    let seen = 0
    const subscription = client.subscribe(() => {
      seen += 1
      if (seen === 1) throw new Error('mine')
      console.log('event')
      subscription.close()
      clearInterval(alive)
    })
    while (seen === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await run('start', { target: app })`
  const { code, out } = await script(home, body).ended
  assert.equal(code, 0)
  assert.match(out, /^uncaught mine\nevent\n/)
  await kill(home)
})

test('destroy removes the home, and nothing that may be the user’s own', async (t) => {
  const home = freshHome(t)
  const { out } = await script(home, `await run('connect'); console.log(await run('destroy'))`).ended
  assert.equal(out, 'null\n')
  assert.ok(!fs.existsSync(home))
  const own = path.join(home, '.pm2')
  const refused = await script(own, `await run('connect'); await run('destroy').catch((e) => console.log(e.message))`)
    .ended
  assert.equal(refused.out, 'Destroy is not a allowed method on .pm2\n')
  assert.ok(fs.existsSync(own))
})
