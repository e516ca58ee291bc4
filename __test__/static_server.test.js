'use strict'

const assert = require('node:assert/strict')
const { once } = require('node:events')
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const net = require('node:net')
const { test } = require('node:test')
const zlib = require('node:zlib')
const { createServer, settings } = require('../lib/static_server.js')

/** A server of a folder with these files; gives a function that asks it for a raw path. */
async function serving(t, files, env = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
  fs.mkdirSync(path.join(folder, 'public', 'sub'), { recursive: true })
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(folder, 'public', name), text)
  fs.writeFileSync(path.join(folder, 'secret'), 'secret')
  fs.symlinkSync(path.join(folder, 'secret'), path.join(folder, 'public', 'link'))
  fs.symlinkSync(folder, path.join(folder, 'public', 'away'))
  const quiet = process.stderr.write
  process.stderr.write = () => true
  t.after(() => {
    process.stderr.write = quiet
  })
  const server = createServer(settings({ PM2_SERVE_PATH: path.join(folder, 'public'), ...env }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    fs.rmSync(folder, { recursive: true })
  })
  const get = async (url, headers = {}, method = 'GET') => {
    const { port } = server.address()
    const request = http.request({ host: '127.0.0.1', port, path: url, headers, method, agent: false }).end()
    const [response] = await once(request, 'response')
    const chunks = []
    for await (const chunk of response) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const type = response.headers['content-type']
    return { status: response.statusCode, type, headers: response.headers, body, text: body.toString() }
  }
  return Object.assign(get, { server, folder: path.join(folder, 'public') })
}

test('files, the home page, unknown paths', async (t) => {
  const get = await serving(t, { 'index.html': 'home', 'a b.txt': 'text', 'app.mjs': 'js' })
  const home = await get('/')
  assert.deepEqual([home.status, home.text, home.headers['access-control-allow-origin']], [200, 'home', '*'])
  assert.equal((await get('/a%20b.txt?x=1')).text, 'text')
  assert.match((await get('/app.mjs')).type, /^text\/javascript/)
  assert.deepEqual([(await get('/none')).status, (await get('/none')).text], [404, '404 Not Found'])
})

test('nothing outside the folder is given', async (t) => {
  const get = await serving(t, {})
  const urls = ['/../secret', '/%2e%2e/secret', '/..%2fsecret', '/..%5csecret', '/link', '/%00', '/%zz', '//secret']
  urls.push(
    '/%252e%252e/secret',
    '/sub/../../secret',
    '/sub/%2e%2e%2f%2e%2e%2fsecret',
    '/./..//secret',
    '/secret%00.txt',
  )
  urls.push('/link/', '/away/secret', '/public/../../secret', '/..;/secret', `/${'a'.repeat(5000)}`)
  for (const url of urls) {
    const { status, text } = await get(url)
    assert.ok([403, 404].includes(status), `${url}: ${status}`)
    assert.notEqual(text, 'secret', url)
  }
})

test('single page, own 404 page, listing', async (t) => {
  const spa = await serving(t, { 'main.html': 'home' }, { PM2_SERVE_SPA: 'true', PM2_SERVE_HOMEPAGE: '/main.html' })
  assert.deepEqual([(await spa('/a/b')).status, (await spa('/a/b')).text], [200, 'home'])
  const own = await serving(t, { '404.html': 'mine' })
  assert.deepEqual([(await own('/x')).status, (await own('/x')).text], [404, 'mine'])
  const listing = await serving(t, { 'b<.txt': '', '.hidden': '' }, { PM2_SERVE_FTP: 'true' })
  const { text } = await listing('/')
  assert.match(text, /sub\/.*b&#60;\.txt.*\d{4}-\d\d-\d\d/)
  assert.doesNotMatch(text, /hidden/)
})

test('basic auth', async (t) => {
  const env = { PM2_SERVE_BASIC_AUTH: 'true', PM2_SERVE_BASIC_AUTH_USERNAME: 'u', PM2_SERVE_BASIC_AUTH_PASSWORD: 'p:w' }
  const get = await serving(t, { 'index.html': 'home' }, env)
  const refused = await get('/')
  assert.deepEqual([refused.status, refused.text], [401, '401 Unauthorized'])
  assert.match(refused.headers['www-authenticate'], /realm="Authentication service"/)
  const login = (text) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
  assert.equal((await get('/', login('u:x'))).status, 401)
  assert.equal((await get('/', login('u:p:w'))).text, 'home')
})

test('what the caller has already is not sent again', async (t) => {
  const get = await serving(t, { 'a.txt': 'text', '404.html': 'none' })
  const { headers } = await get('/a.txt')
  assert.equal(headers['content-length'], '4')
  const { etag, 'last-modified': modified } = headers
  for (const condition of [
    { 'if-none-match': etag },
    { 'if-none-match': `"x", W/${etag}` },
    { 'if-none-match': '*' },
    { 'if-modified-since': modified },
    { 'if-modified-since': new Date(Date.now() + 1e6).toUTCString() },
  ]) {
    const answer = await get('/a.txt', condition)
    assert.deepEqual([answer.status, answer.text, answer.headers.etag], [304, '', etag], JSON.stringify(condition))
  }
  for (const condition of [
    { 'if-none-match': '"x"' },
    { 'if-none-match': '"x"', 'if-modified-since': modified },
    { 'if-modified-since': new Date(Date.parse(modified) - 1000).toUTCString() },
    { 'if-modified-since': 'yesterday' },
  ]) {
    assert.equal((await get('/a.txt', condition)).status, 200, JSON.stringify(condition))
  }
  assert.equal((await get('/none', { 'if-none-match': '*' })).status, 404)
  fs.writeFileSync(path.join(get.folder, 'a.txt'), 'other')
  assert.equal((await get('/a.txt', { 'if-none-match': etag })).text, 'other')
})

test('single ranges', async (t) => {
  const get = await serving(t, { 'a.bin': '0123456789', empty: '' })
  const { headers } = await get('/a.bin')
  assert.equal(headers['accept-ranges'], 'bytes')
  for (const [range, text, shown] of [
    ['bytes=0-0', '0', 'bytes 0-0/10'],
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=7-99', '789', 'bytes 7-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=-99', '0123456789', 'bytes 0-9/10'],
  ]) {
    const answer = await get('/a.bin', { range })
    assert.deepEqual([answer.status, answer.text, answer.headers['content-range']], [206, text, shown], range)
    assert.equal(answer.headers['content-length'], String(text.length))
  }
  for (const range of ['bytes=10-', 'bytes=99-100', 'bytes=-0']) {
    const answer = await get('/a.bin', { range })
    assert.deepEqual([answer.status, answer.headers['content-range']], [416, 'bytes */10'], range)
  }
  assert.equal((await get('/empty', { range: 'bytes=0-' })).status, 416)
  // What is no single range, or not understood, is no range: the whole file, as RFC 9110 says.
  for (const range of ['bytes=4-2', 'bytes=0-1,3-4', 'bytes=a-b', 'lines=0-1', 'bytes=-', '0-1', 'bytes=1e3-']) {
    const answer = await get('/a.bin', { range })
    assert.deepEqual([answer.status, answer.text], [200, '0123456789'], range)
  }
  const range = 'bytes=0-1'
  assert.equal((await get('/a.bin', { range, 'if-range': headers.etag })).status, 206)
  assert.equal((await get('/a.bin', { range, 'if-range': headers['last-modified'] })).status, 206)
  assert.equal((await get('/a.bin', { range, 'if-range': '"old"' })).status, 200)
  assert.equal((await get('/a.bin', { range }, 'HEAD')).status, 200)
})

test('gzip where it helps and is wanted', async (t) => {
  const text = 'text '.repeat(10_000)
  const get = await serving(t, { 'a.txt': text, 'small.txt': 'x', 'a.png': text })
  const zipped = await get('/a.txt', { 'accept-encoding': 'br, gzip' })
  assert.deepEqual([zipped.headers['content-encoding'], zipped.headers.vary], ['gzip', 'Accept-Encoding'])
  assert.equal(zlib.gunzipSync(zipped.body).toString(), text)
  const plain = await get('/a.txt', { 'accept-encoding': 'gzip;q=0, *' })
  assert.deepEqual([plain.headers['content-encoding'], plain.text], [undefined, text])
  assert.notEqual(plain.headers.etag, zipped.headers.etag)
  const again = await get('/a.txt', { 'accept-encoding': 'gzip', 'if-none-match': zipped.headers.etag })
  assert.equal(again.status, 304)
  for (const url of ['/small.txt', '/a.png']) {
    assert.equal((await get(url, { 'accept-encoding': 'gzip' })).headers['content-encoding'], undefined, url)
  }
  const part = await get('/a.txt', { 'accept-encoding': 'gzip', range: 'bytes=0-3' })
  assert.deepEqual([part.status, part.text], [206, 'text'])
})

test('methods, folders, files of the root below a route', async (t) => {
  const files = { 'index.html': 'home', 'main.js': 'js', 'sub/index.html': 'sub', 'a.txt': 'text' }
  const get = await serving(t, files, { PM2_SERVE_SPA: 'true' })
  const head = await get('/a.txt', {}, 'HEAD')
  assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', '4'])
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    const refused = await get('/a.txt', {}, method)
    assert.deepEqual([refused.status, refused.headers.allow], [405, 'GET, HEAD, OPTIONS'], method)
  }
  const asked = await get('/a.txt', { origin: 'http://else.where' }, 'OPTIONS')
  assert.deepEqual([asked.status, asked.headers['access-control-allow-origin']], [204, '*'])
  const moved = await get('/sub?x')
  assert.deepEqual([moved.status, moved.headers.location], [301, '/sub/'])
  assert.equal((await get('/sub/')).text, 'sub')
  assert.equal((await get('//sub')).headers.location, '/sub/', 'never to another host')
  assert.deepEqual([(await get('/a/b/main.js')).text, (await get('/a/b/none.js')).text], ['js', 'home'])
})

test('bad input is answered, or cut off, and the next caller is served', async (t) => {
  const get = await serving(t, { 'index.html': 'home' })
  const { port } = get.server.address()
  const sent = [
    'nonsense\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=99999999999999999999-\r\n\r\n',
    `GET /${'%'.repeat(200)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`,
    'GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: ,,,"\r\nIf-Modified-Since: \xff\r\n\r\n',
    'GET http://else.where/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n',
    Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0xff]),
  ]
  for (const bytes of sent) {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.end(bytes)
    socket.resume()
    await once(socket, 'close')
  }
  assert.equal((await get('/')).text, 'home')
})
