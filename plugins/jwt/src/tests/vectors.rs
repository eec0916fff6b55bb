//! Keys and tokens that other software made: OpenSSL, through Python's `cryptography`. Each token expires in the year
//! 2100, and its subject is `ada`.

/// An RSA key of 2048 bits.
pub(super) const RSA_2048_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1BaWwSaS/ngkzknstzXZ
toVpe8Gnd67nkGw2Xwc4Hj4a854JAtNlP5WMCgtBw5Du+tyK7TbHs0kdIbKO6M+7
llfb5daJHzHg803Bak8iE9YN6Ab4gx7CYIbLcx72DwNwUt648Utk5krYXBCAQNUI
N1HkpqPMF44juScytsdRjrL8mGtw8y3qpdTPfKp4UK0JS6PFEcwNe1YGcyAM0+jS
e25flh/DYwBXxhxlXylveHUNxVliITtpgvus7gEVDosXLSwQpZmobhk4T51Zdzjr
zX/7rLKHQC9KkpzfZlqymdBFDPFflSh2Ww4aYc6jyUXPDzncUY3ptZ5JlmKkATms
4wIDAQAB
-----END PUBLIC KEY-----
";

/// Signed by it with RS256.
pub(super) const RSA_2048_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhZGEiLCJhdWQiOiJhcGkiLCJleHAiOjQxMDI0NDQ4MDB9.CfMnn3AGpmP7lyipj7xIHosZ98BEP_ZVmj7QO4sYBkTtTQRkmte5t9fmyjrhRTZi3jlpoDfL9uXRX6xBTqWaz34gvO3HEYxFgiwpXMKLxVdHRTI3z8JsMW6FWsjpDIdH_ONqcGozV2CLvAYzIjC2MmUXzmY3te1pDP3wjw3_8LJHTAwFE6_GikAOXPiiZxG2Wv-dHEJrhny52fg2wo3R7muQQSft9scKMhbrgdt_WDoiFbYB_Do-udmdDQOFpdLSmviArhvQgG9CRt-zmx_D2DsWxdB_52UcFlTPW-hHmzUQ_aDuMWNWcIjCNalJ8kfFABSxOZxPRiQC7Xx1Is_E6Q";

/// Signed by the key of 2048 bits, but with SHA-1 under the name RS256.
pub(super) const RSA_SHA1_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhZGEiLCJhdWQiOiJhcGkiLCJleHAiOjQxMDI0NDQ4MDB9.dNWH82522eHr4Y_-jq7F7ZOSMn4dbC2YtaOFpn7DGtoyiM-Xg9hHxvNSl1FmFscGKDwbN_LWuo2ySCNM48zlb-7zrMUNskyoi66vFlQXkRVfADrNykHiax6NajIoaUC2hbvBdaGEvB0RluJMTS2IKWRvT2EyPox99iTQjTec1nSY7IU9W93mzMA-dxjcy3DDH6RETB2BB6mIISo_eDDSLH6wiw3f88ixZ4SVCEmQRP_McxyYmrokiStDrzJHzdJcU_kz86JYaRTMOfGs8Kb3yFCLQFIG92ghx_RsSX8eMMxO130zypkwlAXI-Fk_ziMoIRgqJkO6snYNOdUbevxcxA";

/// Signed by the key of 2048 bits, but with the padding of PS256 under the name RS256.
pub(super) const RSA_PSS_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhZGEiLCJhdWQiOiJhcGkiLCJleHAiOjQxMDI0NDQ4MDB9.D5cma7MlNKSZqH7gqK-g9CvyS-LhAjH_R_JcFLcMT5fW4D5sFv_BgmULfoGY_kYBzPQTG-8wczsCYSuy64Y5WwoMSR4M51zoRx9xAD2T9jWbi1zvTzl5XUejgsrXyNyFYji3WV80jxzo_B9u_btSAWsHuf4O4jXKK5me6gTVeD5Kp7B-rYZTxORcXWygcv2AHQqAnkRgWzEx2CDRuAfFtCeCG1dHv8V4R_Fm3OKpOSyqXuj4Bzi5Ss77lt3C5vbwnFV-oFinX_Eq8-QPixT-kLP8zsQFVGZzEuUcjIHMvojK2O4x24ukRk33PFCyAs-7gsDHrCW9j7C7kmUAfpcqfA";

/// An RSA key of 3072 bits.
pub(super) const RSA_3072_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAvvXegQGzqNI+p+CdmGkS
ioIwxBETKjDySGTTHBtv+NWEtfN4CA4MaI8dc3IMuqlEe8oQZe/Nn9GjfYQIl1Wj
NMgqX3h5gyO6VwAuHJAl8YvB4g6pi47JQ3/n+esw4i/usfWfDFp/poxULwqrUQVH
MCpx5uIpGu4EWQKxZMZEyS8mcG//v/VYYsQc9vYOVepy8beF8ol+cj/KQO1edWDe
qt2+HeXe+ATrt+66E2fMhQBNpZh0CGUahOaiY9OebkvtbDPpIV1/Cfh4/33JmPjI
GyyIYX3azDuK0p7h+9B00Nd4MFxyPJxt+KID5fEOxC4ZLSQzUo7oLgrVuG6Q/DBN
2qzL3cXhhMKoyn2ZgcTkDkR8+ODCHRqW/Fo4pbrMs//9tWnZw0/wKogFsyVf08uS
49gUxT6LSh2z9/V89ODYb2Dj44EVOCKmtahOdcjjJJQnf/nAJ2USeR3CEgZMEG6t
1ModqletGIZwsYjI/3HGKsP6h4MD//Xah8mxkqKSroBHAgMBAAE=
-----END PUBLIC KEY-----
";

/// Signed by it with RS256.
pub(super) const RSA_3072_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhZGEiLCJhdWQiOiJhcGkiLCJleHAiOjQxMDI0NDQ4MDB9.tuTcvs0tbre7aMpGct3WXKKaewxo3VsGAt2fUCnlzgbbNBp-YQAheF-W7fOc9p0LfLiyYLhH1-7B8LovekhsN2GHJQni9KxnEXg-T5eABj0u_zs8BjvAVpcNbjxxTCBhXbWM5thTt-tao7yFVQ_YLZMPMyldHHFwa4fOyWk0UtxZH2CYfyprogNl_jCrUhORBcVpcHnDv1tPWDkj_VdD8HFcnz1aZ0HghQiyY15__nBADlhpJ3zX9oPMydKSThbtthDS4dgDFmvvLOVrkWTullF-xwqhi-RIe--SqkpECChxluRZvmPe_ZLPbCt-1Tjz0JPhT1h67zdzpnifZEIFW9Dk4oV1yULR1xcn0xuiJsUd5uO2NYr3CyICh7F3N5WQhXtHMBTmrPZHegfqCkmO97WDLUJORz0m0lGVZlBW_NsUptwg7qwiBMHn9cDaMhhqHmik9ffNfbqDkxN9zzC1CSg35pHWPgidkOM3WLeZWh_gfeDACbvIzBrKSNKnNgEb";

/// An RSA key of 4096 bits.
pub(super) const RSA_4096_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAlnm3/MdJalbk//MIcg+c
MG3H77Ktzmd6cOSt4B8LeqhA3viqcY9zaE8LRdfOlXrJZm8F/l1gEU5Q3zlyT2PB
/BA2A9EvqnBalDS8uSSLQyrnRB6iH/OamTyKEY+DoeidPAwb7PoCH377eXRDt8LC
RydzuEDXFsK772m7vDKclCZrNtkacxBcpaVJp+/xcm65SozkOTcsXU+b5nO9q3gJ
cRKfcrlZqhH4/9qAreL7rZ4s8WHn2BwoOBVLn/UoyNS7/qjFfat2SCFxIFWHdWnr
HOViMV5oUvJqdStZBAPKNoRtw/+bvYC0qQCSNx+yY1O9/Af9eKMtEfSZZ71plcr2
juYDHt2Ph/4rglwwkcTHube+7icGotJmZ9S+9V7Tm5ZzuMbc15zSk1WRgAw10erw
fAg1krfzu4GkSrwFCfniE1GgtPsfxdco6nszw5z9cS9B3mUBFX6aq0L30P/IF1Co
RiX2FuHCpicgYFHiGRPgf/L6nHIvkL3PaHiyifa/C/fgluwrPabpQvCWS4JUvFyb
qQw2CblljC2Xt7TAMllR0+pFjaFj4zUbnRxfKa+my8AccOi7SOcHcYzkDUH2YhXj
koolgv2IQs9oKFU79KqRS6TJl8yC0nx8Ei6ewrLILT7isMcLCGfpE3UlpFi8vTci
CC4/5RGfBZa/2P0M8OmtTWkCAwEAAQ==
-----END PUBLIC KEY-----
";

/// Signed by it with RS256.
pub(super) const RSA_4096_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJzdWIiOiJhZGEiLCJhdWQiOiJhcGkiLCJleHAiOjQxMDI0NDQ4MDB9.MtF05u2fqEIPx-J1kU_zJlaUFxoXpvgr4z-LJ18Z7c8dGzqCd-McIX_85jiOQIsWrbA0JFWUy0g97yTJeP4E5yxPfy-eA9ZMWIQ3rL6hTIzet4QN6NrEgcylBd8tZAj2OgoGkZBZfSzN9NOagJGVIpQV05a_vzXX28ACUD8IzJITzcUyaos0mpiEoELoYeHOKDAxoLEPZirRDPUhkNaFY3pPDAZ8S70gEtMdq6PgX8aQkiosHAPGIjyVAt1E_-YQdmWPY_ibsa2xwjebifB11qxGmlKIccdMxQueTthAusnq6PQSoWHR3Cm1zvMCcS2Zyk07-7A755xUasOrzGYB9P2RyzJY1KHMTK2k9lcDf5R-OQPseu9pSEZlF_m6q6apMjx6d3lXfZ2aktp-jEYppyDaIHv1u8jXLiypuTByRK4EnLr0bkLBeZb2r3UrmVewg8jOv_E46zqSqg3oakjdwGCvZqOQpo7pc-QRG9k98cbTpIgIXpZAzCJRldjiww8w1V5RMiY5qjT7rtn7mbvEDlO_y-_gh31HmQVIhjMFLW7IoEMomKICtrebXMMkAZbwHAFqNWvh6JgULkNrKaCgZHT-cR8-pyHVdY47ux0OvZfmnDfpqEwAQrdZ7kx9-PjeVPIYcqk1EwutxmMScolIgzNUdf8U26DdswzZcuV0acA";

/// An RSA key of 1024 bits, too short.
pub(super) const RSA_1024_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCyi7iioRuOs4+jzHgAmlfCbQ+B
ZfXAfB8Jsw6KMylKKz9EztSGNOhupJO5KeeaV0G9v64KliekXKUJR8Z0HDxNPbTT
lrfC6wzR/Y7jeLXiKlWKi/4N34DaPXooOIbvHHbjA23b/VnoQZMhxiFJhrqgsjhX
TchxabL4CaRFGndfXQIDAQAB
-----END PUBLIC KEY-----
";

/// A key on P-256.
pub(super) const EC_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAElRXysQND8bIGNf8jsP3dUoSTKpbh
3oebVe0LUAwABpH29Q6aiEf7XvL/aL8qdcBIM6eh4D05Zh8lV+ASLAhAfQ==
-----END PUBLIC KEY-----
";

/// Signed by it with ES256.
pub(super) const EC_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEiLCJhdWQiOiJhcGkiLCJleHAiOjQxMDI0NDQ4MDB9.kCuT-6yZNesX7NyXFGTiMofVGxZREH7M3XDYw_eo4F83tnr-OSBQNdX8kZuYF0i9pVZANDVAbuw1X7wqqDFKvw";

/// A key on P-384, which is not supported.
pub(super) const EC_384_PEM: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEEC/QPdmtGQJ25zQAKY+SJ90ztlqlr5O1
FD/ofjDstJSBVPHoruiU8JOjCEA7VuWuwMm1QsGxHhCYxBMMMm8iZsci8E3VxAus
DQWAQQyL+Bynvin4ncyKvMSfCpdmSVVU
-----END PUBLIC KEY-----
";
