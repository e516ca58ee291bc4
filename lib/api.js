'use strict'

// Owns: the shape of pm2's API: argument forms, errback or promise. What the verbs do is in `src/client`.
// Facts: contract/api.md sections 1 to 6; "Qn" are its quirks. Everything but the class is loaded when first needed.

const path = require('node:path')
const { Connection } = require('./connection.js')
const { contextOf, currentFolder, defaultHome, plain, resolveTarget, verbOf } = require('./request.js')
const { anyCallback, callback, handled, refuse, settle } = require('./settle.js')

const CONNECTION = Symbol('connection')

class API {
  /** @param {import('../index.js').CustomOptions} [opts] */
  constructor(opts) {
    const options = opts || {}
    const { env } = process
    if (options.pm2_home && options.independent) {
      throw new Error('You cannot set a pm2_home and independent instance in same time')
    }
    this.daemon_mode = options.daemon_mode ?? true
    this.pm2_home = options.pm2_home || defaultHome()
    if (options.independent && process.platform !== 'win32') {
      this.pm2_home = `/tmp/${require('node:crypto').randomBytes(8).toString('hex')}`
      this.daemon_mode = options.daemon_mode ?? false
    }
    this.public_key = env.PM2_PUBLIC_KEY || env.KEYMETRICS_PUBLIC || env.PUBLIC_KEY || options.public_key || null
    this.secret_key = env.PM2_SECRET_KEY || env.KEYMETRICS_SECRET || env.SECRET_KEY || options.secret_key || null
    this.machine_name = env.PM2_MACHINE_NAME || env.INSTANCE_NAME || env.MACHINE_NAME || options.machine_name || null
    this.cwd = options.cwd ? path.resolve(options.cwd) : currentFolder()
    this.pm2_configuration = {}
    this.gl_interact_infos = null
    this.gl_is_km_linked = false
    this.gl_retry = 0
    const connection = new Connection(() => ({ home: this.pm2_home, daemonMode: this.daemon_mode !== false }))
    Object.defineProperty(this, CONNECTION, { value: connection })
    lazily(this, '_conf', () => require('./constants.js').constants(this.pm2_home, process.env))
    lazily(this, 'Client', () => {
      const { Client } = require('./client.js')
      return new Client(this, connection)
    })
  }

  // Life cycle ------------------------------------------------------------------------------------------------------

  connect(noDaemon, cb) {
    this.start_timer = new Date()
    const done = callback(noDaemon, cb)
    if (noDaemon === true) this.daemon_mode = false
    return settle(done, async () => this[CONNECTION].run({ action: 'connect' }))
  }

  disconnect(cb) {
    return settle(cb, () => this[CONNECTION].disconnect())
  }

  close(cb) {
    return this.disconnect(cb)
  }

  destroy(cb) {
    return settle(cb, async () => {
      await this[CONNECTION].run({ action: 'destroy' })
    })
  }

  killDaemon(cb) {
    return ask(this, cb, { action: 'killDaemon' })
  }

  kill(cb) {
    return this.killDaemon(cb)
  }

  launchBus(cb) {
    const opening = handled(this[CONNECTION].connectBus())
    if (typeof cb !== 'function') return opening
    opening.then(
      (bus) => process.nextTick(cb, null, bus, bus.sock),
      (error) => process.nextTick(cb, error),
    )
    return undefined
  }

  launchModules(cb) {
    return settle(cb, async () => {
      await this[CONNECTION].run({ action: 'launchModules' })
    })
  }

  launchAll(_data, cb) {
    return ask(this, callback(_data, cb), { action: 'connect' })
  }

  launchSysMonitoring(cb) {
    return settle(cb, async () => {})
  }

  // In a program pm2 neither prints nor exits.
  exitCli(_code) {
    return false
  }

  // The daemon and its keeper become the ones of this package; unlike in pm2 no app is started anew.
  update(cb) {
    settle(cb, async () => {
      await this[CONNECTION].run({ action: 'update' })
      return { success: true }
    })
    return false
  }

  deepUpdate(cb) {
    return this.update(cb)
  }

  // Processes -------------------------------------------------------------------------------------------------------

  start(script, opts, cb) {
    const done = callback(opts, cb)
    return settle(done, async () => {
      if (typeof script === 'number') {
        throw new Error('Expect "script" to be a typeof [object String], but now is [object Number]')
      }
      return act(this, 'start', script, opts)
    })
  }

  restart(target, opts, cb) {
    return settle(callback(opts, cb), () => act(this, 'restart', target, opts))
  }

  reload(target, opts, cb) {
    return settle(callback(opts, cb), () => act(this, 'reload', target, opts))
  }

  gracefulReload(target, opts, cb) {
    return this.reload(target, opts, cb)
  }

  stop(target, cb) {
    // `stop(target, opts, cb)` is what the CLI's people write by analogy.
    // biome-ignore lint/complexity/noArguments: a third parameter would show in `stop.length`
    return settle(callback(cb, arguments[2]), () => act(this, 'stop', target, cb))
  }

  delete(target, jsonVia, cb) {
    return settle(callback(jsonVia, cb), async () => {
      const what = jsonVia === 'pipe' ? JSON.parse(String(target)) : target
      return act(this, 'delete', what, jsonVia)
    })
  }

  reset(target, cb) {
    return ask(this, cb, { action: 'reset', target: plain(target), context: contextOf(this.cwd) })
  }

  scale(name, count, cb) {
    return ask(this, cb, { action: 'scale', name: plain(name), count: plain(count) })
  }

  actionFromJson(action, file, _opts, _jsonVia, cb) {
    const done = anyCallback([cb, _jsonVia, _opts])
    return settle(done, async () =>
      act(this, verbOf(action), _jsonVia === 'pipe' ? JSON.parse(String(file)) : file, _opts),
    )
  }

  _startScript(script, opts, cb) {
    return this.start(script, opts, cb)
  }

  _startJson(file, opts, action, pipe, cb) {
    const done = anyCallback([cb, pipe, action, opts])
    const verb = typeof action === 'string' ? verbOf(action) : 'start'
    return settle(done, async () => act(this, verb, pipe === 'pipe' ? JSON.parse(String(file)) : file, opts))
  }

  _operate(action, target, opts, cb) {
    return settle(callback(opts, cb), async () => act(this, verbOf(action), target, opts))
  }

  _handleAttributeUpdate(opts) {
    return opts
  }

  // Queries ---------------------------------------------------------------------------------------------------------

  list(opts, cb) {
    return ask(this, callback(opts, cb), { action: 'list' })
  }

  describe(target, cb) {
    return ask(this, cb, { action: 'describe', target: plain(target) })
  }

  getPID(name, cb) {
    const wanted = typeof name === 'function' ? undefined : name
    return ask(this, callback(name, cb), { action: 'getPid', name: plain(wanted) })
  }

  getProcessIdByName(name, cb) {
    return ask(this, cb, { action: 'getProcessIdByName', name: plain(name), context: contextOf(this.cwd) })
  }

  getVersion(cb) {
    return ask(this, cb, { action: 'getVersion' })
  }

  ping(cb) {
    return ask(this, cb, { action: 'ping' })
  }

  env(id, cb) {
    return ask(this, cb, { action: 'env', id: plain(id) })
  }

  // These print: that is all they are for.

  report() {
    return print(this, ['report'])
  }

  jlist(_debug) {
    return print(this, ['jlist'])
  }

  slist(_tree) {
    return print(this, ['prettylist'])
  }

  speedList(_code, _apps) {
    return print(this, ['list'])
  }

  /** With an object as second argument: an async iterator of lines, for programs. */
  streamLogs(id, lines, raw, timestamp, _exclusive, _highlight) {
    if (lines !== null && typeof lines === 'object') {
      return require('./log_stream.js').streamLogs(this[CONNECTION], id, lines)
    }
    return print(this, logArguments(id, lines, raw, timestamp))
  }

  printLogs(id, lines, raw, timestamp, _exclusive) {
    return print(this, [...logArguments(id, lines, raw, timestamp), '--nostream'])
  }

  // Messages --------------------------------------------------------------------------------------------------------

  sendSignalToProcessName(signal, name, cb) {
    return ask(this, cb, { action: 'sendSignalToProcessName', signal: plain(signal), name: plain(name) })
  }

  sendSignalToProcessId(signal, id, cb) {
    return ask(this, cb, { action: 'sendSignalToProcessId', signal: plain(signal), id: plain(id) })
  }

  sendDataToProcessId(id, packet, cb) {
    // Q20: `(packet)` alone is accepted as well as `(packet, cb)`.
    const packetFirst = id !== null && typeof id === 'object'
    const action = packetFirst
      ? { action: 'sendDataToProcessId', packet: id }
      : { action: 'sendDataToProcessId', id: plain(id), packet: typeof packet === 'function' ? null : plain(packet) }
    return settle(callback(packet, cb), () => this[CONNECTION].run(action))
  }

  sendLineToStdin(id, line, separator, cb) {
    const end = typeof separator === 'string' && separator !== '' ? separator : undefined
    return ask(this, callback(separator, cb), {
      action: 'sendLineToStdin',
      id: plain(id),
      line: plain(line),
      separator: end,
    })
  }

  msgProcess(opts, cb) {
    return ask(this, cb, { action: 'msgProcess', options: plain(opts) })
  }

  trigger(target, name, params, cb) {
    const given = typeof params === 'function' ? undefined : params
    return ask(this, callback(params, cb), {
      action: 'trigger',
      target: plain(target),
      name: String(name),
      params: given,
    })
  }

  inspect(name, cb) {
    return this.trigger(name, 'internal:inspect', undefined, cb)
  }

  attach(id, separator, cb) {
    const end = typeof separator === 'string' ? separator : undefined
    return settle(callback(separator, cb), () => require('./attach.js').attach(this, id, end))
  }

  // Persistence and logs --------------------------------------------------------------------------------------------

  dump(force, cb) {
    const forced = force === true || Boolean(process.env.FORCE)
    return ask(this, callback(force, cb), { action: 'dump', force: forced })
  }

  autodump(cb) {
    return settle(cb, async () => {})
  }

  clearDump(cb) {
    return settle(cb, async () => {
      await this[CONNECTION].run({ action: 'clearDump' })
    })
  }

  resurrect(cb) {
    return settle(cb, async () => {
      const { dump } = await this[CONNECTION].run({ action: 'resurrect' })
      // pm2 gives the bytes of the file.
      return Buffer.from(dump)
    })
  }

  flush(target, cb) {
    // Q25: the only argument may be the callback.
    const wanted = typeof target === 'function' ? null : plain(target)
    return ask(this, callback(target, cb), { action: 'flush', target: wanted === '' ? null : wanted })
  }

  reloadLogs(cb) {
    return ask(this, cb, { action: 'reloadLogs' })
  }

  logrotate(opts, cb) {
    return viaCli(this, callback(opts, cb), ['logrotate'], opts)
  }

  // Boot ------------------------------------------------------------------------------------------------------------

  startup(platform, opts, cb) {
    return boot(this, 'startup', platform, opts, cb)
  }

  uninstallStartup(platform, opts, cb) {
    return boot(this, 'unstartup', platform, opts, cb)
  }

  // Configuration ---------------------------------------------------------------------------------------------------

  get(key, cb) {
    const wanted = typeof key === 'function' || key === undefined ? undefined : String(key)
    return ask(this, callback(key, cb), { action: 'get', key: wanted })
  }

  set(key, value, cb) {
    const stored = typeof value === 'function' ? null : plain(value)
    return ask(this, callback(value, cb), {
      action: 'set',
      key: String(key),
      value: stored,
      context: contextOf(this.cwd),
    })
  }

  multiset(text, cb) {
    return ask(this, cb, { action: 'multiset', text: String(text), context: contextOf(this.cwd) })
  }

  unset(key, cb) {
    return ask(this, cb, { action: 'unset', key: String(key) })
  }

  conf(key, value, cb) {
    if (value === undefined || typeof value === 'function') return this.get(key, callback(value, cb))
    return this.set(key, value, cb)
  }

  // Others ----------------------------------------------------------------------------------------------------------

  serve(target, port, opts, commander, cb) {
    // Q29: the typed form has four arguments, its last one the callback.
    const done = anyCallback([cb, commander, opts, port, target])
    return settle(done, async () => {
      const app = require('./static_app.js').staticApp({ target, port, opts, commander })
      return act(this, 'start', app, {})
    })
  }

  // A native daemon has no V8 profile.
  profile(type, time, cb) {
    return settle(callback(time, cb), async () => {
      if (type !== 'cpu' && type !== 'mem') throw new TypeError('profile: the type must be "cpu" or "mem"')
      return { error: 'not supported by the native daemon' }
    })
  }

  monitorState(state, target, cb) {
    return settle(cb, async () => {
      if (target === undefined || target === null || target === '') throw new Error('argument missing')
      return this[CONNECTION].run({ action: 'monitorState', state: String(state), target })
    })
  }

  dashboard(cb) {
    return refuse(cb, 'Dashboard cant be called programmatically')
  }

  monit(cb) {
    return refuse(cb, 'Monit cant be called programmatically')
  }

  agentInfos(cb) {
    return refuse(cb, 'Interactor is offline')
  }

  killAgent(cb) {
    return refuse(cb, 'Interactor not launched')
  }
}

// Verbs that the CLI does and that have no answer but success.
for (const [name, length, argv] of /** @type {[string, number, string[]][]} */ ([
  ['install', 3, ['install']],
  ['uninstall', 2, ['uninstall']],
  ['package', 2, ['module:package']],
  ['publish', 3, ['module:publish']],
  ['generateModuleSample', 2, ['module:generate']],
  ['deleteModule', 2, ['uninstall']],
  ['boilerplate', 1, ['create']],
  ['generateSample', 1, ['init']],
  ['deploy', 3, ['deploy']],
  ['pullAndRestart', 2, ['pull']],
  ['pullAndReload', 2, ['pull']],
  ['_pull', 2, ['pull']],
  ['pullCommitId', 3, ['pull']],
  ['_pullCommitId', 2, ['pull']],
  ['backward', 2, ['backward']],
  ['forward', 2, ['forward']],
])) {
  define(name, length, function (...args) {
    const done = anyCallback(args)
    const words = args.filter((argument) => typeof argument === 'string' || typeof argument === 'number').map(String)
    const rawArgs = name === 'deploy' ? args.find((argument) => argument?.rawArgs)?.rawArgs : undefined
    return viaCli(this, done, [...argv, ...words, ...(rawArgs ?? [])], undefined)
  })
}

// pm2.io's cloud and what installs other software: not part of pm2-rs.
for (const [name, length] of /** @type {[string, number][]} */ ([
  ['autoinstall', 1],
  ['remote', 3],
  ['remoteV2', 3],
  ['generateDockerfile', 2],
  ['dockerMode', 3],
  ['linkManagement', 5],
  ['link', 2],
  ['unlink', 1],
  ['openDashboard', 0],
  ['clearSetup', 2],
  ['minimumSetup', 2],
])) {
  define(name, length, (...args) => {
    const done = anyCallback(args)
    return refuse(done, `pm2.${name} is not supported by pm2-rs`)
  })
}

/**
 * @param {string} name
 * @param {number} length
 * @param {(this: API, ...args: any[]) => unknown} fn
 */
function define(name, length, fn) {
  Object.defineProperty(fn, 'name', { value: name })
  Object.defineProperty(fn, 'length', { value: length })
  Object.defineProperty(API.prototype, name, { value: fn, writable: true, configurable: true })
}

/**
 * One action, answered as the caller likes.
 * @param {API} pm2
 * @param {unknown} cb
 * @param {Record<string, unknown> & { action: string }} action
 */
function ask(pm2, cb, action) {
  return settle(cb, () => pm2[CONNECTION].run(action))
}

/**
 * A verb that acts on a target: a name, an id, apps, or a config file.
 * @param {API} pm2
 * @param {string} action
 * @param {unknown} target
 * @param {unknown} opts
 * @returns {Promise<any>}
 */
function act(pm2, action, target, opts) {
  const options = opts !== null && typeof opts === 'object' ? opts : {}
  const request = { action, options, context: contextOf(pm2.cwd) }
  const resolved = resolveTarget(action, target, pm2.cwd)
  if (!(resolved instanceof Promise)) return pm2[CONNECTION].run({ ...request, target: resolved })
  return resolved.then((config) => pm2[CONNECTION].run({ ...request, target: config }))
}

/**
 * @param {object} object
 * @param {string} name
 * @param {() => unknown} make
 */
function lazily(object, name, make) {
  const define = (/** @type {unknown} */ value) => {
    Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
    return value
  }
  Object.defineProperty(object, name, {
    get: () => define(make()),
    set: define,
    enumerable: true,
    configurable: true,
  })
}

/**
 * @param {API} pm2
 * @param {string} verb
 * @param {unknown} platform
 * @param {any} opts
 * @param {unknown} cb
 */
function boot(pm2, verb, platform, opts, cb) {
  // Q27: the options may be left out.
  const done = callback(platform, callback(opts, cb))
  const argv = typeof platform === 'string' ? [verb, platform] : [verb]
  return viaCli(pm2, done, argv, typeof opts === 'object' ? opts : undefined)
}

/**
 * A verb of the CLI; nothing of what it says is shown, its last words are the error's message.
 * @param {API} pm2
 * @param {unknown} cb
 * @param {string[]} argv
 * @param {Record<string, unknown> | null | undefined} opts
 */
function viaCli(pm2, cb, argv, opts) {
  return settle(cb, () => require('./through_cli.js').throughCli(pm2.pm2_home, argv, opts))
}

/**
 * @param {API} pm2
 * @param {string[]} argv
 */
function print(pm2, argv) {
  return settle(undefined, async () => require('./cli.js').run(argv, { ...process.env, PM2_HOME: pm2.pm2_home }))
}

/**
 * @param {unknown} id
 * @param {unknown} lines
 * @param {unknown} raw
 * @param {unknown} timestamp
 */
function logArguments(id, lines, raw, timestamp) {
  const argv = ['logs', String(id ?? 'all')]
  if (lines !== undefined) argv.push('--lines', String(lines))
  if (raw) argv.push('--raw')
  if (timestamp) argv.push('--timestamp')
  return argv
}

module.exports = API
