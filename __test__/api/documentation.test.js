'use strict'

// The programs that pm2's documentation shows, with `pm2` replaced by `pm2-rs`: start an app and disconnect; and the pair
// that sends data to an app and hears its answer.

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { promisify } = require('node:util')

const { freshHome, root } = require('../support/home.js')

async function run(t, files, main) {
  const home = freshHome(t)
  const folder = path.join(path.dirname(home), 'program')
  fs.mkdirSync(path.join(folder, 'node_modules'), { recursive: true })
  fs.symlinkSync(root, path.join(folder, 'node_modules', 'pm2-rs'))
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), text)
  const { stdout } = await promisify(execFile)(process.execPath, [main], {
    cwd: folder,
    env: { ...process.env, PM2_HOME: home },
    timeout: 60_000,
  })
  return stdout
}

test('start app.js and disconnect', async (t) => {
  const stdout = await run(
    t,
    {
      'app.js': 'setInterval(() => {}, 1000)\n',
      'main.js': `
        const pm2 = require('pm2-rs')
        pm2.connect(function (err) {
          if (err) { console.error(err); process.exit(2) }
          pm2.start({ script: 'app.js', name: 'api' }, function (err, apps) {
            if (err) { console.error(err); return pm2.disconnect() }
            pm2.list((err, list) => {
              console.log(err, list.map((app) => app.name + ' ' + app.pm2_env.status))
              pm2.restart('api', (err, proc) => {
                console.log(err, proc[0].pm2_env.restart_time)
                pm2.disconnect()
              })
            })
          })
        })`,
    },
    'main.js',
  )
  assert.equal(stdout, "null [ 'api online' ]\nnull 1\n")
})

test('pm2-call.js with pm2-app.js', async (t) => {
  const stdout = await run(
    t,
    {
      'pm2-app.js': `
        process.on('message', function (packet) {
          process.send({ type: 'process:msg', data: { success: true, heard: packet.data } })
        })
        setInterval(() => {}, 1000)`,
      'pm2-call.js': `
        const pm2 = require('pm2-rs')
        pm2.connect(function () {
          pm2.start({ script: 'pm2-app.js' }, function (err, apps) {
            if (err) throw err
            pm2.launchBus(function (err, pm2_bus) {
              pm2_bus.on('process:msg', function (packet) {
                console.log(JSON.stringify(packet.data))
                pm2.disconnect()
              })
              pm2.sendDataToProcessId({
                id: apps[0].pm2_env.pm_id,
                type: 'process:msg',
                data: { some: 'data', hello: true },
                topic: 'some topic',
              }, function (err, res) { if (err) throw err })
            })
          })
        })`,
    },
    'pm2-call.js',
  )
  assert.equal(stdout, '{"success":true,"heard":{"some":"data","hello":true}}\n')
})

test('ESM named imports', async (t) => {
  const stdout = await run(
    t,
    {
      'main.mjs': `
        import pm2, { connect, list, disconnect } from 'pm2-rs'
        await connect()
        console.log(await list(), pm2.connect === connect || typeof connect)
        await disconnect()`,
    },
    'main.mjs',
  )
  assert.match(stdout, /^\[\] (true|function)\n$/)
})
