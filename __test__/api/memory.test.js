'use strict'

// `max_memory_restart`: who takes too much is restarted, within about a second.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { fixture, freshClient, waitFor } = require('../support/home.js')

const only = async (pm2, name) => (await pm2.describe(name))[0]
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const daemonLog = (pm2) => fs.readFileSync(path.join(pm2.home, 'pm2.log'), 'utf8')

/** A script in the folder of the test. */
function scriptOf(pm2, name, text) {
  const file = path.join(path.dirname(pm2.home), name)
  fs.writeFileSync(file, text)
  return file
}

test('an app that outgrows its limit is restarted, and the log says so', async (t) => {
  const pm2 = freshClient(t)
  const grow = scriptOf(
    pm2,
    'grow.js',
    "const all=[];process.on('SIGUSR2',()=>all.push(Buffer.alloc(200<<20,1)));process.send('ready');setInterval(()=>{},1000)",
  )
  await pm2.start([
    // It is asked to grow only when it listens: before that the signal would end it.
    { script: grow, name: 'big', max_memory_restart: '150M', wait_ready: true, listen_timeout: 60_000 },
    { script: fixture('forever.js'), name: 'small', max_memory_restart: '300M' },
  ])
  await pause(1500)
  assert.equal((await only(pm2, 'big')).pm2_env.restart_time, 0)
  await pm2.sendSignalToProcessName('SIGUSR2', 'big')
  await waitFor(async () => (await only(pm2, 'big')).pm2_env.restart_time === 1)
  assert.match(
    daemonLog(pm2),
    /\[PM2\]\[WORKER\] Process 0 restarted because it exceeds --max-memory-restart value \(current_memory=\d+ max_memory_limit=157286400 \[octets\]\)/,
  )
  assert.equal((await only(pm2, 'small')).pm2_env.restart_time, 0)
})

test('with max_memory_tree the children count too', async (t) => {
  const pm2 = freshClient(t)
  const parent = scriptOf(
    pm2,
    'parent.js',
    "require('child_process').spawn(process.execPath,['-e','globalThis.a=Buffer.alloc(300<<20,1);setInterval(()=>{},1000)'],{stdio:'ignore'});setInterval(()=>{},1000)",
  )
  await pm2.start([
    { script: parent, name: 'tree', max_memory_restart: '200M', max_memory_tree: true },
    { script: parent, name: 'alone', max_memory_restart: '200M' },
  ])
  await waitFor(async () => (await only(pm2, 'tree')).pm2_env.restart_time > 0)
  assert.equal((await only(pm2, 'alone')).pm2_env.restart_time, 0)
})
