'use strict'

// The app that `serve` and `static` start: a static file server (contract/options.md section 10). Runs as an app under
// the daemon; its configuration is its environment.

const { createReadStream } = require('node:fs')
const { open, readdir, realpath, stat } = require('node:fs/promises')
const http = require('node:http')
const path = require('node:path')
const zlib = require('node:zlib')
const { timingSafeEqual, createHash } = require('node:crypto')

const { isText, typeOf } = require('./static_types.js')
const { isUnchanged, rangeOf, takesGzip } = require('./static_conditions.js')

/** Below this size compression gains nothing. */
const WORTH_GZIP = 1024

/**
 * @param {NodeJS.ProcessEnv} env
 */
function settings(env) {
  return {
    folder: path.resolve(env.PM2_SERVE_PATH || '.'),
    port: Number(env.PM2_SERVE_PORT) || 8080,
    host: env.PM2_SERVE_HOST || '0.0.0.0',
    spa: env.PM2_SERVE_SPA === 'true',
    listing: env.PM2_SERVE_FTP === 'true',
    home: env.PM2_SERVE_HOMEPAGE || '/index.html',
    login:
      env.PM2_SERVE_BASIC_AUTH === 'true'
        ? `${env.PM2_SERVE_BASIC_AUTH_USERNAME ?? ''}:${env.PM2_SERVE_BASIC_AUTH_PASSWORD ?? ''}`
        : undefined,
  }
}

/** @typedef {ReturnType<typeof settings>} Settings */

/** @param {Settings} options */
function createServer(options) {
  return http.createServer((request, response) => {
    serve(options, request, response).catch(() => {
      if (!response.headersSent) refuse(request, response, 500, '500 Internal Server Error')
      else response.destroy()
    })
  })
}

/**
 * @param {Settings} options
 * @param {http.IncomingMessage} request
 * @param {http.ServerResponse} response
 */
async function serve(options, request, response) {
  // A body is of no use here: let it flow away, or the connection could not be used again.
  request.resume()
  response.setHeader('Access-Control-Allow-Origin', '*')
  response.setHeader('Access-Control-Allow-Methods', 'GET')
  // A browser asks before it sends a login or a range to another origin; that question carries no login itself.
  if (request.method === 'OPTIONS') {
    response.setHeader('Access-Control-Allow-Headers', 'Authorization, Range, If-Range')
    return void response.writeHead(204, { Allow: 'GET, HEAD, OPTIONS' }).end()
  }
  if (options.login !== undefined && !isAllowed(options.login, request.headers.authorization)) {
    response.setHeader('WWW-Authenticate', 'Basic realm="Authentication service"')
    return refuse(request, response, 401, '401 Unauthorized')
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD, OPTIONS')
    return refuse(request, response, 405, '405 Method Not Allowed')
  }
  const wanted = decoded(request.url ?? '/')
  if (wanted === undefined) return refuse(request, response, 403, '403 Forbidden')
  const file = path.join(options.folder, wanted)
  if (!isInside(options.folder, file)) return refuse(request, response, 403, '403 Forbidden')
  const found = await look(options.folder, file)
  if (found === 'outside') return refuse(request, response, 403, '403 Forbidden')
  if (found?.isFile() && !wanted.endsWith('/')) return send(request, response, 200, file)
  if (found?.isDirectory()) {
    const index = wanted === '/' ? path.join(options.folder, options.home) : path.join(file, 'index.html')
    const has = await isFile(options.folder, index)
    if (has || options.listing) {
      // Without the slash the links of the page would lead beside the folder.
      if (!wanted.endsWith('/')) return redirect(response, `${wanted}/`)
      return has ? send(request, response, 200, index) : list(request, response, file, wanted)
    }
  }
  if (options.spa) {
    // A page below a route asks for the files of the root (contract/cli.md section 13.2).
    const inRoot = path.join(options.folder, path.basename(wanted))
    if (path.extname(wanted) !== '' && (await isFile(options.folder, inRoot))) {
      return send(request, response, 200, inRoot)
    }
    const home = path.join(options.folder, options.home)
    if (await isFile(options.folder, home)) return send(request, response, 200, home)
  }
  process.stderr.write(`[${new Date().toISOString()}] not found: ${JSON.stringify(wanted)}\n`)
  const notFound = path.join(options.folder, '404.html')
  if (await isFile(options.folder, notFound)) return send(request, response, 404, notFound)
  return refuse(request, response, 404, '404 Not Found')
}

/**
 * @param {string} url
 * @returns {string | undefined} the path, without query; nothing of it leads upwards any more
 */
function decoded(url) {
  try {
    const wanted = decodeURIComponent(url.split(/[?#]/, 1)[0])
    return wanted.includes('\0') ? undefined : path.posix.join('/', wanted.replace(/\\/g, '/'))
  } catch {
    return undefined
  }
}

/**
 * @param {string} folder
 * @param {string} file
 */
function isInside(folder, file) {
  const relative = path.relative(folder, file)
  return relative === '' || !(relative === '..' || relative.startsWith(`..${path.sep}`) || path.isAbsolute(relative))
}

/**
 * What is there. A link may lead to another place in the folder, never out of it.
 * @param {string} folder
 * @param {string} file
 * @returns {Promise<import('node:fs').Stats | 'outside' | undefined>}
 */
async function look(folder, file) {
  try {
    const real = await realpath(file)
    return isInside(await realpath(folder), real) ? await stat(real) : 'outside'
  } catch {
    return undefined
  }
}

/**
 * @param {string} folder
 * @param {string} file
 */
async function isFile(folder, file) {
  const found = await look(folder, file)
  return found !== undefined && found !== 'outside' && found.isFile()
}

/**
 * @param {http.IncomingMessage} request
 * @param {http.ServerResponse} response
 * @param {200 | 404} status
 * @param {string} file
 */
async function send(request, response, status, file) {
  // Everything is about the file that is open: another may take its name meanwhile.
  const handle = await open(await realpath(file), 'r')
  try {
    const { size, mtimeMs } = await handle.stat()
    const type = typeOf(file)
    const gzip = isText(type) && size >= WORTH_GZIP
    const zipped = gzip && takesGzip(request.headers['accept-encoding']) && request.headers.range === undefined
    const tag = `"${size.toString(16)}-${Math.trunc(mtimeMs).toString(16)}${zipped ? '-gz' : ''}"`
    // Seconds are all that HTTP's dates know.
    const modified = Math.trunc(mtimeMs / 1000) * 1000
    response.setHeader('Content-Type', type)
    response.setHeader('ETag', tag)
    response.setHeader('Last-Modified', new Date(modified).toUTCString())
    // To be asked for again each time, which costs a 304.
    response.setHeader('Cache-Control', 'no-cache')
    if (gzip) response.setHeader('Vary', 'Accept-Encoding')
    if (status === 200 && isUnchanged(request.headers, tag, modified)) return void response.writeHead(304).end()
    if (!zipped) response.setHeader('Accept-Ranges', 'bytes')
    const range =
      status === 200 && !zipped && request.method === 'GET' ? rangeOf(request.headers, size, tag, modified) : undefined
    if (range === 'none') {
      response.removeHeader('ETag')
      response.setHeader('Content-Range', `bytes */${size}`)
      return refuse(request, response, 416, '416 Range Not Satisfiable')
    }
    const { start, end } = range ?? { start: 0, end: size - 1 }
    if (range !== undefined) response.setHeader('Content-Range', `bytes ${start}-${end}/${size}`)
    if (zipped) response.setHeader('Content-Encoding', 'gzip')
    else response.setHeader('Content-Length', end - start + 1)
    response.writeHead(range === undefined ? status : 206)
    if (request.method === 'HEAD' || end < start) return void response.end()
    await pour(createReadStream('', { fd: handle, start, end, autoClose: false }), zipped, response)
  } finally {
    await handle.close()
  }
}

/**
 * Everything from a file to a caller, who may go away.
 * @param {import('node:fs').ReadStream} stream
 * @param {boolean} zipped
 * @param {http.ServerResponse} response
 * @returns {Promise<void>} when no more is read
 */
function pour(stream, zipped, response) {
  return new Promise((resolve) => {
    const source = zipped ? stream.pipe(zlib.createGzip()) : stream
    // Cut short: the caller sees that something is missing.
    for (const part of [stream, source]) part.on('error', () => response.destroy())
    response.on('close', () => {
      stream.destroy()
      source.destroy()
      resolve()
    })
    source.pipe(response)
  })
}

/**
 * @param {http.ServerResponse} response
 * @param {string} to a path that begins with exactly one slash
 */
function redirect(response, to) {
  response.writeHead(301, { Location: to.split('/').map(encodeURIComponent).join('/'), 'Content-Length': 0 }).end()
}

/**
 * @param {http.IncomingMessage} request
 * @param {http.ServerResponse} response
 * @param {string} folder
 * @param {string} shown
 */
async function list(request, response, folder, shown) {
  const entries = (await readdir(folder, { withFileTypes: true })).filter(({ name }) => !name.startsWith('.'))
  entries.sort((a, b) => Number(b.isDirectory()) - Number(a.isDirectory()) || a.name.localeCompare(b.name))
  const rows = await Promise.all(
    entries.map(async (entry) => {
      const slash = entry.isDirectory() ? '/' : ''
      const facts = await stat(path.join(folder, entry.name)).catch(() => undefined)
      const size = facts === undefined || slash ? '' : facts.size
      const time = facts === undefined ? '' : facts.mtime.toISOString().slice(0, 16).replace('T', ' ')
      const link = `<a href="${encodeURIComponent(entry.name)}${slash}">${escaped(entry.name)}${slash}</a>`
      return `<tr><td>${link}<td align="right">${size}<td>${time}`
    }),
  )
  const up = shown === '/' ? '' : '<tr><td><a href="../">../</a>'
  const page = `<!doctype html><meta charset="utf-8"><title>${escaped(shown)}</title><h1>${escaped(shown)}</h1><table>${up}${rows.join('')}</table>\n`
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Length': Buffer.byteLength(page) })
  response.end(request.method === 'HEAD' ? undefined : page)
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
}

/**
 * @param {string} login
 * @param {string | undefined} header
 */
function isAllowed(login, header) {
  const given = /^Basic (.+)$/i.exec(header ?? '')
  if (given === null) return false
  const hash = (/** @type {string | Buffer} */ text) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(Buffer.from(given[1], 'base64')), hash(login))
}

/**
 * @param {http.IncomingMessage} request
 * @param {http.ServerResponse} response
 * @param {number} status
 * @param {string} text
 */
function refuse(request, response, status, text) {
  response.writeHead(status, { 'Content-Type': 'text/html', 'Content-Length': Buffer.byteLength(text) })
  response.end(request.method === 'HEAD' ? undefined : text)
}

// Under the daemon this file is the main module.
if (require.main === module) {
  const options = settings(process.env)
  const server = createServer(options)
  server.on('error', (error) => {
    process.stderr.write(`cannot serve on ${options.host}:${options.port}: ${error.message}\n`)
    process.exitCode = 1
  })
  server.listen(options.port, options.host, () => {
    process.stdout.write(`Exposing ${options.folder} directory on ${options.host}:${options.port}\n`)
  })
}

module.exports = { createServer, settings }
