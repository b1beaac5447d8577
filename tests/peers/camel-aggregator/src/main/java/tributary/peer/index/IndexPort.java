package tributary.peer.index;

import jakarta.jws.WebMethod;
import jakarta.jws.WebParam;
import jakarta.jws.WebResult;
import jakarta.jws.WebService;
import jakarta.jws.soap.SOAPBinding;

/** The question to the index. */
@WebService(name = "FindContentResponderInterface", targetNamespace = IndexPort.WSDL)
@SOAPBinding(parameterStyle = SOAPBinding.ParameterStyle.BARE)
public interface IndexPort {
    String WSDL = "urn:riv:itintegration:engagementindex:FindContent:1:rivtabp21";
    String CONTRACT = "urn:riv:itintegration:engagementindex:FindContentResponder:1";

    @WebMethod(operationName = "FindContent", action = CONTRACT + ":FindContent")
    @WebResult(name = "FindContentResponse", targetNamespace = CONTRACT, partName = "parameters")
    FindContentResponse find(
            @WebParam(name = "LogicalAddress", targetNamespace = "urn:riv:itintegration:registry:1", header = true,
                    partName = "LogicalAddress") String address,
            @WebParam(name = "FindContent", targetNamespace = CONTRACT, partName = "parameters") FindContent question);
}
