// A provider for the tests of single sign-on: a certified implementation from npm, that lets the
// person in whom the test names.
//
// Argument: folder of node modules. Each line of standard input is JSON that changes `state`, or
// names the address of the server under test (`box`); it is answered with a line. It ends when
// standard input does.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const [modules] = process.argv.slice(2);
const { Provider } = await import(`${modules}/oidc-provider/lib/index.js`);
const jose = await import(`${modules}/jose/dist/webapi/index.js`);

const state = {
  person: { sub: 'person-1', email: 'ann@example.com', email_verified: true, name: 'Ann' },
  deny: false, // the person is not let in
  token: null, // claims that are put into the ID token, signed again
  key: null, // 'other': signed again with a key that is not published
  fault: null, // status that every request gets
};

let signing, provider, generation = 0, box = 'http://nobody.invalid';

async function makeKey() {
  generation += 1;
  const { privateKey } = await jose.generateKeyPair('RS256', { extractable: true });
  const jwk = { ...(await jose.exportJWK(privateKey)), kid: `key-${generation}`, alg: 'RS256', use: 'sig' };
  return { privateKey, jwk };
}

function renew(issuer) {
  provider = new Provider(issuer, {
    clients: [{
      client_id: 'signalbox',
      client_secret: 'a-secret-of-the-provider',
      redirect_uris: [`${box}/api/v1/auth/providers/corp/callback`],
      response_types: ['code'],
      grant_types: ['authorization_code'],
    }],
    jwks: { keys: [signing.jwk] },
    cookies: { keys: ['a key of the test'] },
    scopes: ['openid', 'email', 'profile', 'groups'],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ ...state.person, sub }) }),
  });
}

async function interact(req, res) {
  const { prompt, params } = await provider.interactionDetails(req, res);
  let result;
  if (state.deny) {
    result = { error: 'access_denied', error_description: 'not today' };
  } else if (prompt.name === 'login') {
    result = { login: { accountId: state.person.sub } };
  } else {
    const grant = new provider.Grant({ accountId: state.person.sub, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result = { consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(req, res, result, { mergeWithLastSubmission: true });
}

// The ID token of an answer with other claims, signed again.
async function changed(body) {
  const answer = JSON.parse(body);
  if (!answer.id_token) return body;
  const key = state.key === 'other' ? await makeKey() : signing;
  const claims = { ...jose.decodeJwt(answer.id_token), ...state.token };
  const header = { alg: 'RS256', kid: signing.jwk.kid };
  answer.id_token = await new jose.SignJWT(claims).setProtectedHeader(header).sign(key.privateKey);
  return JSON.stringify(answer);
}

function hold(res) {
  const end = res.end.bind(res);
  res.end = (body) => {
    changed(String(body)).then((text) => {
      res.setHeader('content-length', Buffer.byteLength(text));
      end(text);
    });
    return res;
  };
}

const server = createServer((req, res) => {
  if (state.fault) {
    res.statusCode = state.fault;
    res.end('down');
  } else if (req.url.startsWith('/interaction/')) {
    interact(req, res).catch((error) => {
      res.statusCode = 500;
      res.end(String(error));
    });
  } else {
    if (req.url.startsWith('/token') && (state.token || state.key)) hold(res);
    provider.callback()(req, res);
  }
});

server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  signing = await makeKey();
  renew(issuer);
  console.log(JSON.stringify({ issuer }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { rotate, box: there, ...change } = JSON.parse(line);
    Object.assign(state, change);
    if (there) box = there;
    if (rotate) signing = await makeKey();
    if (rotate || there) renew(issuer);
    console.log('{}');
  }
  process.exit(0);
});
