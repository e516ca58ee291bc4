'use strict'

// The same calls, made through stock pm2 or through ours, against a stock daemon or ours. Run as a process of its own,
// because stock pm2 fixes its paths when it is loaded.
//
//   PM2_PACKAGE  the package to require
//   APP_FOLDER   folder of the fixture apps
//
// Prints one JSON array: what each step's callback was given.

const path = require('node:path')
const pm2 = require(process.env.PM2_PACKAGE)

const app = (name) => path.join(process.env.APP_FOLDER, name)
const results = []

/** Calls a method with an errback and notes what it was called with. */
function step(name, method, ...args) {
  return new Promise((resolve) => {
    let calls = 0
    const done = (error, result) => {
      calls += 1
      if (calls > 1) throw new Error(`${name}: called back twice`)
      // Apps of one array are started two at a time: their order is chance.
      if (name === 'start of an array') result?.sort((a, b) => (a.pm2_env.name < b.pm2_env.name ? -1 : 1))
      results.push({ name, error: errorOf(error), result: result === undefined ? null : result })
      resolve(result)
    }
    try {
      pm2[method](...args, done)
    } catch (error) {
      results.push({ name, thrown: String(error.message) })
      resolve()
    }
  })
}

function errorOf(error) {
  if (error === null || error === undefined) return error === null ? null : 'undefined'
  if (Array.isArray(error)) return error.map(errorOf)
  return error instanceof Error ? { message: error.message } : error
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

async function main() {
  await step('connect', 'connect')
  await step('list of nothing', 'list')
  await step('delete all of nothing', 'delete', 'all')
  await step('dump of nothing', 'dump')

  await step('start a script', 'start', app('messages.js'), { name: 'msg' })
  await pause(600)
  await step('list', 'list')
  await step('start it again', 'start', app('messages.js'), { name: 'msg' })
  await step('describe by name', 'describe', 'msg')
  await step('describe by id', 'describe', 0)
  await step('describe unknown', 'describe', 'nobody')
  await step('getPID', 'getPID', 'msg')
  await step('getPID of unknown', 'getPID', 'nobody')
  await step('getVersion', 'getVersion')
  await step('ping', 'ping')

  await step('send data, three arguments', 'sendDataToProcessId', 0, {
    type: 'process:msg',
    topic: 't',
    data: { a: 1 },
  })
  await step('send data, two arguments', 'sendDataToProcessId', {
    id: 0,
    type: 'process:msg',
    topic: 't',
    data: { a: 1 },
  })
  await step('send data without topic', 'sendDataToProcessId', 0, { data: 1 })
  await step('send data to unknown', 'sendDataToProcessId', 55, { topic: 't', data: 1 })
  await step('send a line', 'sendLineToStdin', 0, 'abc')
  await step('send a line to unknown', 'sendLineToStdin', 55, 'abc')
  await step('signal by name', 'sendSignalToProcessName', 'SIGUSR2', 'msg')
  await step('signal by unknown name', 'sendSignalToProcessName', 'SIGUSR2', 'nobody')
  await step('signal by id', 'sendSignalToProcessId', 'SIGUSR2', 0)
  await step('signal by unknown id', 'sendSignalToProcessId', 'SIGUSR2', 77)
  await step('message without target', 'msgProcess', { msg: 'x' })
  await step('message with unknown id', 'msgProcess', { id: 66, msg: 'x' })
  await step('message with unknown action', 'msgProcess', { id: 0, msg: 'nope' })
  await step('message by unknown name', 'msgProcess', { name: 'nobody', msg: 'x' })

  await step('restart', 'restart', 'msg')
  await step('restart by id', 'restart', 0)
  await step('restart unknown name', 'restart', 'nobody')
  await step('restart unknown id', 'restart', 99)
  await step('reload', 'reload', 'msg')
  await step('reload unknown id', 'reload', 99)
  await step('reset', 'reset', 'msg')
  await step('reset unknown name', 'reset', 'nobody')
  await step('stop', 'stop', 'msg')
  await step('stop what is stopped', 'stop', 'msg')
  await step('stop unknown name', 'stop', 'nobody')
  await step('stop unknown id', 'stop', 99)
  await step('send data to stopped', 'sendDataToProcessId', 0, { topic: 't', data: 1 })
  await step('list with a stopped one', 'list')
  await step('start the stopped one by name', 'start', 'msg', {})

  await step('start a missing script', 'start', app('missing.js'))
  await step('start with a wrong type', 'start', { script: app('forever.js'), max_restarts: 'many' })
  await step('start of an object', 'start', {
    script: app('forever.js'),
    name: 'obj',
    namespace: 'ns',
    args: ['a', 'b c'],
    env: { FOO: 'bar', N: 1, B: true, O: { a: 1 } },
    max_restarts: 3,
    kill_timeout: 500,
  })
  await step('start of an array', 'start', [
    { script: app('forever.js'), name: 'one' },
    { script: app('worker.sh'), name: 'two', args: 'x y' },
  ])
  await step('start of an object with instances in fork mode', 'start', {
    script: app('forever.js'),
    name: 'many',
    exec_mode: 'fork',
    instances: 2,
  })
  await step('start without script', 'start', {})
  await step('list of all', 'list')
  await step('restart a namespace', 'restart', 'ns')
  await step('stop a namespace', 'stop', 'ns')
  await step('stop by regex', 'stop', '/^on/')
  await step('stop by regex without match', 'stop', '/^zz/')
  await step('start of the object again', 'start', { script: app('forever.js'), name: 'obj', namespace: 'ns' })
  await step('scale up', 'scale', 'many', 3)
  await step('scale to the same', 'scale', 'many', 3)
  await step('scale down', 'scale', 'many', 1)
  await step('scale unknown', 'scale', 'nobody', 2)
  await step('reloadLogs', 'reloadLogs')
  await step('flush', 'flush', 'obj')
  await step('dump', 'dump')
  await step('delete', 'delete', 'obj')
  await step('delete unknown name', 'delete', 'nobody')
  await step('delete unknown id', 'delete', 99)
  await step('delete all', 'delete', 'all')
  await step('list of nothing again', 'list')
  await step('killDaemon', 'killDaemon')
}

main().then(
  () => {
    process.stdout.write(JSON.stringify(results), () => process.exit(0))
  },
  (error) => {
    console.error(error)
    process.exit(1)
  },
)
