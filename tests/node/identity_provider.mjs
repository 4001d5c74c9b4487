// An identity provider for tests: any login is accepted, clients register themselves, and access
// tokens are RS256 JWTs for the resource that the client names. Prints its issuer when it is ready.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clientDefaults: { token_endpoint_auth_method: 'none' },
    scopes: ['openid', 'offline_access', 'perdure'],
    features: {
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'perdure',
          audience: resource,
          accessTokenTTL: 3600,
          accessTokenFormat: 'jwt',
        }),
        useGrantedResource: () => true,
      },
    },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
